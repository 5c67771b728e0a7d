// attention_lab.cpp: the three attentions on two sentences: masks, weights as text and as a picture, results.
//
//   attention-lab --svg=weights.svg "the quick brown fox" "a fox jumps"
//
// Every word has a random vector, so a word attends to itself most. The queries of the encoder–decoder attention come from the
// second sentence, keys and values from the first.
#include "frontend/Layers.h"
#include "text/ModelEntry.h"
#include "text/ModelFile.h"
#include "tools/attnc/Main.h"

#include "mlir/IR/MLIRContext.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/FormatVariadic.h"
#include "llvm/Support/InitLLVM.h"

#include <cmath>
#include <deque>
#include <map>
#include <random>

using namespace attnc;
using namespace ::attn::text;

static const int64_t kFeatures = 16;

//===--- The attentions ---===//

/// Weights [batch, queries, keys], and what they make of the values.
static std::vector<Tensor> dotProductAttention(Tensor query, Tensor key, Tensor value, bool causal) {
  Tensor dots = matmul(query, transpose(key)) / std::sqrt(double(query.dim(-1).factor));
  if (causal)
    dots = where(causalMask(dots), dots, -1e9);
  Tensor weights = softmax(dots);
  return {weights, matmul(weights, value)};
}

/// Of the encoder's words and the decoder's, [batch, words, features] each.
static Layer threeAttentions() {
  auto attend = [](Tensor encoder, Tensor decoder) {
    std::vector<Tensor> results = dotProductAttention(decoder, encoder, encoder, /*causal=*/false);
    llvm::append_range(results, dotProductAttention(decoder, decoder, decoder, /*causal=*/true));
    llvm::append_range(results, dotProductAttention(encoder, encoder, encoder, /*causal=*/false));
    return results;
  };
  return Fn("ThreeAttentions", attend, 6);
}

//===--- Running them ---===//

struct Matrix {
  int64_t rows, columns;
  std::vector<float> values;
  float at(int64_t row, int64_t column) const { return values[size_t(row * columns + column)]; }
};

/// Inputs, then results, as f32 [1, rows, columns].
static Status run(const ModelFile &file, llvm::MutableArrayRef<Matrix> matrices) {
  Expected<uint32_t> forward = findEntryNumber(file.library(), "forward");
  if (!forward)
    return forward.error();
  Expected<OwnedSession> session = createSession(file.library(), file.model(), file.host());
  if (!session)
    return session.error();
  const attn_entry &entry = *attn_library_entry(file.library(), *forward);
  std::deque<DenseTensor> tensors; // which do not move
  std::vector<const DLTensor *> ins;
  std::vector<DLTensor *> outs;
  for (Matrix &matrix : matrices) {
    matrix.values.resize(size_t(matrix.rows * matrix.columns));
    bool isInput = ins.size() < entry.n_in;
    const attn_tensor_info &info = isInput ? entry.in[ins.size()] : entry.out[outs.size()];
    DLTensor *tensor = &tensors.emplace_back(matrix.values.data(), info, 1, matrix.rows, matrix.columns).tensor;
    isInput ? ins.push_back(tensor) : outs.push_back(tensor);
  }
  attn_call call = {};
  call.size = sizeof call, call.in = ins.data(), call.n_in = entry.n_in, call.out = outs.data(), call.n_out = entry.n_out;
  attn_error error = emptyError();
  if (attn_session_run(session->get(), *forward, &call, &error) != ATTN_OK)
    return errorOf(error);
  return {};
}

//===--- Pictures ---===//

using Words = llvm::ArrayRef<std::string>;

/// One row per query, two characters per key: darker is more.
static void print(llvm::raw_ostream &out, const Matrix &weights, Words queries, Words keys, bool causal) {
  static const char *const shades[] = {"  ", "░░", "▒▒", "▓▓", "██"};
  size_t width = 0;
  for (llvm::StringRef word : queries)
    width = std::max(width, word.size());
  for (int64_t row = 0; row < weights.rows; ++row) {
    out << "  " << llvm::left_justify(queries[row], width) << "  mask ";
    for (int64_t column = 0; column < weights.columns; ++column)
      out << (causal && column > row ? "0" : "1");
    out << "  |";
    for (int64_t column = 0; column < weights.columns; ++column)
      out << shades[std::min(4, int(weights.at(row, column) * 5))];
    out << "| ";
    for (int64_t column = 0; column < weights.columns; ++column)
      out << llvm::formatv(" {0:F2}", weights.at(row, column));
    out << "\n";
  }
  out << "  keys: " << llvm::join(keys, " ") << "\n";
}

static std::string escaped(llvm::StringRef text) {
  std::string result;
  llvm::raw_string_ostream out(result);
  llvm::printHTMLEscaped(text, out);
  return result;
}

/// A square of 24 units per weight; returns the height.
static int64_t draw(llvm::raw_ostream &svg, llvm::StringRef title, const Matrix &weights, Words queries, Words keys, int64_t top) {
  const int64_t cell = 24, left = 120;
  svg << llvm::formatv("<text x=\"8\" y=\"{0}\" font-weight=\"bold\">{1}</text>\n", top + 16, title);
  top += 110;
  for (int64_t column = 0; column < weights.columns; ++column)
    svg << llvm::formatv("<text transform=\"translate({0} {1}) rotate(-60)\">{2}</text>\n", left + column * cell + 16, top - 6, escaped(keys[column]));
  for (int64_t row = 0; row < weights.rows; ++row) {
    svg << llvm::formatv("<text x=\"{0}\" y=\"{1}\" text-anchor=\"end\">{2}</text>\n", left - 8, top + row * cell + 16, escaped(queries[row]));
    for (int64_t column = 0; column < weights.columns; ++column)
      svg << llvm::formatv("<rect x=\"{0}\" y=\"{1}\" width=\"{2}\" height=\"{2}\" fill=\"#1f4e79\" fill-opacity=\"{3:F3}\" stroke=\"#ccc\"/>\n",
                           left + column * cell, top + row * cell, cell, weights.at(row, column));
  }
  return top + weights.rows * cell + 24;
}

int main(int argc, char **argv) {
  namespace cl = llvm::cl;
  llvm::InitLLVM init(argc, argv);
  cl::list<std::string> sentenceOption(cl::Positional, cl::desc("ENCODER'S SENTENCE, DECODER'S SENTENCE"));
  cl::opt<std::string> svgOption("svg", cl::desc("File for the picture"));
  cl::ParseCommandLineOptions(argc, argv, "the three attentions on two sentences\n");
  std::vector<std::string> texts(sentenceOption.begin(), sentenceOption.end());
  std::string svgPath = svgOption; // a copy: the linker inside the compiler resets all options
  auto failed = [](const llvm::Twine &message) {
    llvm::errs() << "attention-lab: error: " << message << "\n";
    return 1;
  };
  if (texts.empty())
    texts = {"the quick brown fox jumps over the dog", "a fox and a dog"};
  if (texts.size() != 2)
    return failed("expected two sentences, got " + llvm::Twine(texts.size()));

  // The same word has the same random vector in both sentences.
  std::vector<std::string> words[2];
  std::map<std::string, std::vector<float>> vectors;
  std::mt19937 random(1);
  std::normal_distribution<float> normal;
  std::vector<Matrix> matrices;
  for (int i = 0; i < 2; ++i) {
    llvm::SmallVector<llvm::StringRef> parts;
    llvm::SplitString(texts[i], parts);
    if (parts.empty() || parts.size() > 64)
      return failed("expected sentences of 1 to 64 words, got " + llvm::Twine(parts.size()));
    Matrix &matrix = matrices.emplace_back(Matrix{int64_t(parts.size()), kFeatures, {}});
    for (llvm::StringRef part : parts) {
      words[i].push_back(part.str());
      std::vector<float> &vector = vectors[part.str()];
      while (vector.size() < kFeatures)
        vector.push_back(normal(random));
      llvm::append_range(matrix.values, vector);
    }
  }

  // Compile.
  llvm::SmallString<128> directory;
  if (std::error_code code = llvm::sys::fs::createUniqueDirectory("attention-lab", directory))
    return failed(code.message());
  auto removeDirectory = llvm::make_scope_exit([&] { llvm::sys::fs::remove_directories(directory); });
  std::string path = (directory + "/lab.so").str();
  llvm::Error error = compileGraph(
      [](mlir::MLIRContext *context) -> llvm::Expected<mlir::OwningOpRef<mlir::ModuleOp>> {
        ModelOptions options;
        options.name = "attention_lab", options.limits = {{"source", 64}, {"target", 64}};
        ModelInput inputs[] = {{"encoder", {1, "source", kFeatures}}, {"decoder", {1, "target", kFeatures}}};
        llvm::Expected<Model> model = Model::build(context, threeAttentions(), inputs, "", options);
        if (!model)
          return model.takeError();
        return std::move(model->module);
      },
      "attention_lab", path);
  if (error)
    return failed(llvm::toString(std::move(error)));

  // Run.
  auto file = ModelFile::open(path, "", /*threads=*/0);
  if (!file)
    return failed(file.error().text);
  struct Kind {
    const char *title;
    int queries, keys; // sentences
    bool causal;
  };
  const Kind kinds[] = {{"encoder–decoder attention", 1, 0, false}, {"causal self-attention", 1, 1, true}, {"bidirectional self-attention", 0, 0, false}};
  for (const Kind &kind : kinds) {
    int64_t queries = int64_t(words[kind.queries].size()), keys = int64_t(words[kind.keys].size());
    matrices.push_back({queries, keys, {}});
    matrices.push_back({queries, kFeatures, {}});
  }
  if (Status status = run(*file, matrices); !status)
    return failed(status.error().text);

  // Show.
  std::string picture;
  llvm::raw_string_ostream svg(picture);
  int64_t height = 0;
  for (auto [i, kind] : llvm::enumerate(kinds)) {
    const Matrix &weights = matrices[2 + 2 * i], &result = matrices[3 + 2 * i];
    llvm::outs() << kind.title << "\n";
    print(llvm::outs(), weights, words[kind.queries], words[kind.keys], kind.causal);
    llvm::outs() << "  result of the last query:";
    for (int64_t column = 0; column < 4; ++column)
      llvm::outs() << llvm::formatv(" {0:F2}", result.at(result.rows - 1, column));
    llvm::outs() << " …\n\n";
    height = draw(svg, kind.title, weights, words[kind.queries], words[kind.keys], height);
  }
  if (svgPath.empty())
    return 0;
  std::error_code code;
  llvm::raw_fd_ostream out(svgPath, code);
  if (code)
    return failed("cannot write '" + svgPath + "': " + code.message());
  out << llvm::formatv("<svg xmlns=\"http://www.w3.org/2000/svg\" width=\"{0}\" height=\"{1}\" font-family=\"sans-serif\" font-size=\"12\">\n",
                       160 + 24 * std::max(words[0].size(), words[1].size()), height)
      << picture << "</svg>\n";
  out.close();
  if (out.has_error()) {
    code = out.error();
    out.clear_error(); // what is not looked at aborts
    return failed("cannot write '" + svgPath + "': " + code.message());
  }
  return 0;
}
