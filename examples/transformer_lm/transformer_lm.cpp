// transformer_lm.cpp: the course's language model, written from small layers, compiled and decoded.
//
//   transformer-lm lm.so                                                     33300 words, 512 wide, 6 layers, 8 heads
//   transformer-lm tiny.so --vocabulary=99 --width=16 --layers=2 --heads=2   a small one
//   transformer-lm lm.so --trax=model.weights.npy.gz                         one that was trained with Trax
//
// Parameters are written beside OUT.so as safetensors: random ones, or those of --trax. With --weights they are read.
#include "frontend/Layers.h"
#include "text/CompiledModel.h"
#include "text/Features.h"
#include "text/Generator.h"
#include "text/ModelEntry.h"
#include "text/ModelFile.h"
#include "tools/attnc/Main.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/InitLLVM.h"
#include "llvm/Support/Path.h"

using namespace attnc;
using namespace ::attn::text;

//===--- Attention from parts, as in the course ---===//

static Tensor dotProductAttention(Tensor query, Tensor key, Tensor value) {
  Tensor dots = matmul(query, transpose(key)) / std::sqrt(double(query.dim(-1).factor));
  return matmul(softmax(where(causalMask(dots), dots, -1e9)), value);
}

static Layer causalAttention(int64_t features, int64_t heads) {
  Layer splitIntoHeads = Fn("AttnHeads", [=](Tensor x) { return splitHeads(x, heads); });
  Layers projection = {Dense(features), splitIntoHeads};
  return Serial(Branch(projection, projection, projection), Fn("DotProductAttn", dotProductAttention),
                Fn("AttnOutput", [=](Tensor x) { return mergeHeads(x, heads); }), Dense(features));
}

//===--- The model ---===//

struct Sizes {
  int64_t vocabulary, features, ff, layers, heads, maxLength;
};

static Layers decoderBlock(const Sizes &sizes, bool fromParts) {
  Layer attention = fromParts ? causalAttention(sizes.features, sizes.heads) : CausalAttention(sizes.features, sizes.heads);
  return {Residual(LayerNorm(), attention, Dropout()),
          Residual(LayerNorm(), Dense(sizes.ff), Relu(), Dropout(), Dense(sizes.features), Dropout())};
}

static Layer transformerLM(const Sizes &sizes, bool fromParts) {
  Layers blocks;
  for (int64_t i = 0; i < sizes.layers; ++i)
    blocks = list(blocks, decoderBlock(sizes, fromParts));
  return Serial(ShiftRight(), Embedding(sizes.vocabulary, sizes.features), Dropout(), PositionalEncoding(sizes.maxLength),
                blocks, LayerNorm(), Dense(sizes.vocabulary), LogSoftmax());
}

//===--- Decoding it ---===//

constexpr TokenId kEnd = 1;

/// The course's next_symbol: the sequence padded to a power of two, or to all that the model takes, and row `ids.size()` of the
/// result, which ShiftRight makes the one after the last token. There are fewer ids than the model takes.
static Expected<TokenId> nextSymbol(const ModelFile &file, attn_session *session, const std::vector<TokenId> &ids) {
  Expected<uint32_t> forward = findEntryNumber(file.library(), "forward");
  if (!forward)
    return forward.error();
  const attn_entry &entry = *attn_library_entry(file.library(), *forward);
  const attn_tensor_info &input = entry.in[0], &output = entry.out[0];
  Expected<int64_t> length = paddedLength(int64_t(ids.size()));
  if (!length)
    return length.error();
  *length = std::min(*length, upperBound(entry, input, 1));
  int64_t vocabulary = output.dims[2];
  std::vector<TokenId> padded = ids;
  padded.resize(size_t(*length));
  std::vector<float> logits(size_t(*length * vocabulary));
  DenseTensor in(padded.data(), input, 1, *length), out(logits.data(), output, 1, *length, vocabulary);
  const DLTensor *ins[] = {&in.tensor};
  DLTensor *outs[] = {&out.tensor};
  attn_call call = {};
  call.size = sizeof call, call.in = ins, call.n_in = 1, call.out = outs, call.n_out = 1;
  attn_error error = emptyError();
  if (attn_session_run(session, *forward, &call, &error) != ATTN_OK)
    return errorOf(error);
  auto row = logits.begin() + int64_t(ids.size()) * vocabulary;
  return TokenId(std::max_element(row, row + vocabulary) - row);
}

/// Up to `count` tokens after `ids`, each from the whole sequence.
static Expected<std::vector<TokenId>> decodeByPadding(const ModelFile &file, std::vector<TokenId> ids, int64_t count) {
  Expected<OwnedSession> session = createSession(file.library(), file.model(), file.host());
  if (!session)
    return session.error();
  size_t given = ids.size();
  while (int64_t(ids.size() - given) < count) {
    Expected<TokenId> next = nextSymbol(file, session->get(), ids);
    if (!next)
      return next.error();
    if (*next == kEnd)
      break;
    ids.push_back(*next);
  }
  return std::vector<TokenId>(ids.begin() + int64_t(given), ids.end());
}

/// The same by a cache, for whose entries the sequence begins with ShiftRight's 0.
static Expected<std::vector<TokenId>> decodeByCache(const ModelFile &file, std::vector<TokenId> ids, int64_t count) {
  auto steps = createCachedModel(file.library(), file.model(), file.host());
  if (!steps)
    return steps.error();
  ids.insert(ids.begin(), 0);
  GenerateOptions options;
  options.maxNewTokens = count;
  options.search.eosIds = {kEnd};
  Expected<Generation> result = Generator(**steps).run(ids, options);
  if (!result)
    return result.error();
  return result->ids;
}

static int failed(const llvm::Twine &message) {
  llvm::errs() << "transformer-lm: error: " << message << "\n";
  return 1;
}

static int print(llvm::StringRef how, const Expected<std::vector<TokenId>> &tokens) {
  if (!tokens)
    return failed(tokens.error().text);
  llvm::outs() << how << ":";
  for (TokenId id : *tokens)
    llvm::outs() << " " << id;
  llvm::outs() << "\n";
  return 0;
}

int main(int argc, char **argv) {
  namespace cl = llvm::cl;
  llvm::InitLLVM init(argc, argv);
  cl::opt<std::string> outputOption(cl::Positional, cl::desc("OUT.so"), cl::Required);
  cl::opt<std::string> weightsOption("weights", cl::desc("Safetensors file with the parameters"));
  cl::opt<std::string> traxOption("trax", cl::desc("Parameters that Trax saved, *.weights.npy.gz"));
  cl::opt<int64_t> vocabulary("vocabulary", cl::init(33300)), width("width", cl::init(512)), ff("ff", cl::init(2048)),
      layers("layers", cl::init(6)), heads("heads", cl::init(8)), maxLength("max-length", cl::init(4096)), seed("seed", cl::init(0)),
      countOption("n", cl::desc("Tokens to decode"), cl::init(8));
  cl::opt<bool> partsOption("parts", cl::desc("Causal attention from Branch and Fn in place of the fused layer"));
  cl::list<TokenId> promptOption("prompt", cl::CommaSeparated, cl::desc("Token ids to continue (default: 2,3,5)"));
  cl::ParseCommandLineOptions(argc, argv, "the course's language model\n");
  // Copies: the linker inside the compiler has options of its own and resets all.
  std::string output = outputOption, weights = weightsOption, trax = traxOption;
  Sizes sizes{vocabulary, width, ff, layers, heads, maxLength};
  int64_t initialSeed = seed, count = countOption;
  bool fromParts = partsOption, given = !weights.empty();
  std::vector<TokenId> prompt(promptOption.begin(), promptOption.end());
  if (prompt.empty())
    prompt = {2, 3, 5};
  if (given + !trax.empty() + (seed.getNumOccurrences() > 0) > 1)
    return failed("expected one of --weights, --trax and --seed");
  if (count < 1)
    return failed("--n: expected at least 1, got " + llvm::Twine(count));
  if (int64_t(prompt.size()) >= sizes.maxLength)
    return failed("--prompt: expected fewer token ids than --max-length=" + llvm::Twine(sizes.maxLength) + ", got " +
                llvm::Twine(prompt.size()));
  count = std::min(count, sizes.maxLength - int64_t(prompt.size()));
  if (!given) {
    llvm::SmallString<128> path(output);
    llvm::sys::path::replace_extension(path, "safetensors");
    weights = std::string(path);
  }

  llvm::Error error = compileGraph(
      [&](mlir::MLIRContext *context) -> llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> {
        ModelOptions options;
        options.name = "transformer_lm", options.output = "logits"; // log-probabilities, which are logits too
        options.limits = {{"seq", sizes.maxLength}};
        options.cached = !fromParts;
        options.metadata = {
            {"vocab_size", sizes.vocabulary}, {"context", sizes.maxLength}, {"eos_token_id", kEnd}, {"shift_right", 1}};
        llvm::Expected<Model> model = Model::build(context, transformerLM(sizes, fromParts),
                                                   {{"input_ids", {"batch", "seq"}, /*ids=*/true}}, weights, options);
        if (!model)
          return model.takeError();
        if (!trax.empty()) {
          if (llvm::Error error = saveTraxWeights(model->parameters, trax, weights))
            return std::move(error);
        } else if (!given) {
          if (llvm::Error error = saveInitialWeights(model->parameters, uint64_t(initialSeed), weights))
            return std::move(error);
        }
        return std::move(model->module);
      },
      "transformer_lm", output);
  if (error)
    return failed(llvm::toString(std::move(error)));
  Expected<ModelFile> file = ModelFile::open(output, "", /*threads=*/0);
  if (!file)
    return failed(file.error().text);
  if (int failed = print("by padding", decodeByPadding(*file, prompt, count)))
    return failed;
  return fromParts ? 0 : print("by cache", decodeByCache(*file, prompt, count));
}
