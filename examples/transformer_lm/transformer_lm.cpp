// transformer_lm.cpp: the course's language model, written from small layers, compiled and decoded.
//
//   transformer-lm lm.so                                                     33300 words, 512 wide, 6 layers, 8 heads
//   transformer-lm tiny.so --vocabulary=99 --width=16 --layers=2 --heads=2   a small one
//   transformer-lm lm.so --trax=model.weights.npy.gz                         one that was trained with Trax
//
// Parameters are written beside OUT.so as safetensors: random ones, or those of --trax. With --weights they are read.
#include "frontend/Layers.h"
#include "text/CompiledModel.h"
#include "text/Generator.h"
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

/// The course's next_symbol: the sequence padded to a power of two, and row `length` of the result, which ShiftRight makes the
/// one after the last token.
static Expected<TokenId> nextSymbol(const ModelFile &file, attn_session *session, const std::vector<TokenId> &ids,
                                    int64_t vocabulary) {
  std::vector<int64_t> padded(llvm::PowerOf2Ceil(ids.size() + 1));
  std::copy(ids.begin(), ids.end(), padded.begin());
  std::vector<float> result(padded.size() * size_t(vocabulary));
  int64_t inShape[] = {1, int64_t(padded.size())}, outShape[] = {1, int64_t(padded.size()), vocabulary};
  DLTensor in = {padded.data(), {kDLCPU, 0}, 2, {kDLInt, 64, 1}, inShape, nullptr, 0};
  DLTensor out = {result.data(), {kDLCPU, 0}, 3, {kDLFloat, 32, 1}, outShape, nullptr, 0};
  const DLTensor *ins[] = {&in};
  DLTensor *outs[] = {&out};
  attn_call call = {};
  call.size = sizeof call, call.in = ins, call.n_in = 1, call.out = outs, call.n_out = 1;
  attn_error error = {};
  error.size = sizeof error;
  uint32_t forward = uint32_t(attn_library_find(file.library(), "forward"));
  if (attn_session_run(session, forward, &call, &error) != ATTN_OK)
    return Error{error.text};
  auto row = result.begin() + int64_t(ids.size()) * vocabulary;
  return TokenId(std::max_element(row, row + vocabulary) - row);
}

/// Up to `count` tokens after `ids`, each from the whole sequence.
static Expected<std::vector<TokenId>> decodeByPadding(const ModelFile &file, std::vector<TokenId> ids, int64_t count,
                                                      int64_t vocabulary) {
  attn_session *session = nullptr;
  attn_error error = {};
  error.size = sizeof error;
  if (attn_session_create(file.library(), file.model(), file.host(), &session, &error) != ATTN_OK)
    return Error{error.text};
  std::unique_ptr<attn_session, void (*)(attn_session *)> owner(session, attn_session_free);
  size_t given = ids.size();
  while (int64_t(ids.size() - given) < count) {
    Expected<TokenId> next = nextSymbol(file, session, ids, vocabulary);
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

static int print(llvm::StringRef how, const Expected<std::vector<TokenId>> &tokens) {
  if (!tokens) {
    llvm::errs() << "transformer-lm: error: " << tokens.error().text << "\n";
    return 1;
  }
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
        options.metadata = {{"vocab_size", sizes.vocabulary}, {"context", sizes.maxLength}, {"eos_token_id", kEnd}};
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
  if (error) {
    llvm::logAllUnhandledErrors(std::move(error), llvm::errs(), "transformer-lm: error: ");
    return 1;
  }
  Expected<ModelFile> file = ModelFile::open(output, "", /*threads=*/0);
  if (!file)
    return print("", file.error());
  if (int failed = print("by padding", decodeByPadding(*file, prompt, count, sizes.vocabulary)))
    return failed;
  return fromParts ? 0 : print("by cache", decodeByCache(*file, prompt, count));
}
