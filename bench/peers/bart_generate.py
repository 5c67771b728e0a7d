"""BART-base with random weights, 64 tokens from 512: python bart_generate.py torch|ctranslate2 DIR THREADS ROUNDS IDS BEAMS...

Prints {beams: best seconds} as JSON. `torch make DIR` writes the directory. Needs torch and transformers, and ctranslate2,
which reads a copy of the directory that it converts itself.
"""
import json
import os
import sys
import time

NEW = 64


def make(directory):
    import torch
    import transformers
    torch.manual_seed(0)
    config = transformers.BartConfig(encoder_layers=6, decoder_layers=6, d_model=768, encoder_attention_heads=12, decoder_attention_heads=12,
                                     encoder_ffn_dim=3072, decoder_ffn_dim=3072, forced_eos_token_id=None,
                                     normalize_before=False, normalize_embedding=True)  # what CTranslate2 asks for
    transformers.BartForConditionalGeneration(config).save_pretrained(directory)


def torch_generate(directory, threads):
    import torch
    import transformers
    torch.set_num_threads(threads)
    torch.set_grad_enabled(False)
    model = transformers.BartForConditionalGeneration.from_pretrained(directory).eval()
    return lambda ids, beams: model.generate(torch.tensor([ids]), max_new_tokens=NEW, min_new_tokens=NEW, do_sample=False, num_beams=beams)


def ctranslate2_generate(directory, threads):
    import ctranslate2
    import transformers
    from ctranslate2.converters import transformers as converters
    converted = directory + "-ctranslate2"
    tokens = ["<s>", "<pad>", "</s>", "<unk>"] + ["t%d" % i for i in range(4, 50265)]
    if not os.path.isdir(converted):
        # The directory has no tokenizer, of which the converter wants the vocabulary.
        loader = converters._MODEL_LOADERS["BartConfig"]
        loader.get_vocabulary = lambda model, tokenizer: list(tokens)
        tokenizer = type("Tokenizer", (), {"bos_token": "<s>", "eos_token": "</s>", "unk_token": "<unk>",
                                         "pad_token": "<pad>", "convert_ids_to_tokens": lambda self, id: tokens[id]})()
        converter = ctranslate2.converters.TransformersConverter(directory)
        converter.load_tokenizer = lambda *arguments, **options: tokenizer
        converter.convert(converted)
    translator = ctranslate2.Translator(converted, device="cpu", intra_threads=threads, inter_threads=1, compute_type="float32")
    return lambda ids, beams: translator.translate_batch([[tokens[i] for i in ids]], beam_size=beams, max_decoding_length=NEW,
                                                         min_decoding_length=NEW, max_input_length=0)


def main():
    peer, directory = sys.argv[1], sys.argv[-1]
    if directory == "make":
        return make(sys.argv[2])
    directory, threads, rounds, ids, *beams = sys.argv[2:]
    generate = {"torch": torch_generate, "ctranslate2": ctranslate2_generate}[peer](directory, int(threads))
    ids, best = json.loads(ids), {}
    for count in map(int, beams):
        for _ in range(1 + int(rounds)):  # the first warms up
            start = time.perf_counter()
            generate(ids, count)
            seconds = time.perf_counter() - start
            best[count] = min(best.get(count, seconds), seconds)
    print(json.dumps(best))


if __name__ == "__main__":
    main()
