//===- tokenizer_fuzzer.cpp - Any bytes as a tokenizer.json ----------------------------------------===//
#include "text/Tokenizer.h"

#include <cstdint>

using namespace attn::text;

/// A file that is accepted must encode and decode; an error is fine (PCRE2's limits, no unknown token).
extern "C" int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
  Expected<Tokenizer> tokenizer =
      Tokenizer::parse(std::string_view(reinterpret_cast<const char *>(data), size), "tokenizer.json");
  if (!tokenizer)
    return 0;
  StreamDecoder decoder(*tokenizer);
  for (std::string_view text : {"The caf\xC3\xA9 <eos>  \xE2\x96\x81 12\xF0\x9F\x99\x82\r\n", "\xFF"}) {
    Expected<std::vector<TokenId>> ids = tokenizer->encode(text);
    if (!ids)
      continue;
    // A post-processor may add ids that no token has, which decoding refuses.
    (void)tokenizer->decode(*ids);
    for (TokenId id : *ids)
      (void)decoder.push(id);
    (void)decoder.finish();
  }
  return 0;
}
