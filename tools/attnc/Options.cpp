//===- Options.cpp - attnc's command line ------------------------------------------------------------===//
#include "Options.h"
#include "Describe.h"
#include "passes/Pipeline.h"

#include "llvm/ADT/StringExtras.h"
#include "llvm/Support/CommandLine.h"
#include "llvm/Support/Threading.h"

namespace cl = llvm::cl;
using llvm::StringRef;

namespace attnc {

static cl::OptionCategory category("Options");

static cl::opt<std::string> input(cl::Positional, cl::desc("INPUT"), cl::cat(category));
static cl::opt<std::string> output("o", cl::desc("File to write; - is standard output, for text"),
                                   cl::value_desc("OUT"), cl::cat(category));
static cl::opt<std::string> emitted("emit", cl::desc("What to write (default: so; see below)"), cl::value_desc("STAGE"),
                                    cl::init("so"), cl::cat(category));
static cl::opt<std::string> target("target", cl::desc("Instruction sets, best chosen at open (default: portable; see below)"),
                                   cl::value_desc("[BACKEND:]NAME,..."), cl::init("portable"), cl::cat(category));
static cl::opt<std::string> dtype("dtype", cl::desc("Type of stored weights: f32, bf16 or f16 (default: as in the checkpoint)"),
                                  cl::value_desc("TYPE"), cl::cat(category));
static cl::opt<std::string> cacheType("cache-dtype", cl::desc("Type of cached keys and values, of a directory: f32 (default), bf16 or f16"),
                                      cl::value_desc("TYPE"), cl::cat(category));
static cl::opt<std::string> mathType("math", cl::desc("Type that products multiply: f32 (default) or bf16"),
                                     cl::value_desc("TYPE"), cl::init("f32"), cl::cat(category));
static cl::opt<std::string> weights("weights",
                                    cl::desc("Where packed weights go: inside the .so (default up to 2 GiB), beside it "
                                             "in OUT's name with .weights, or in FILE"),
                                    cl::value_desc("inside|beside|FILE"), cl::cat(category));
static cl::opt<std::string> modelName("name", cl::desc("Name of the model; an archive exports NAME_attn_query"),
                                      cl::value_desc("NAME"), cl::cat(category));
static cl::opt<std::string> tokenizer("tokenizer",
                                      cl::desc("Put the tokenizer and its settings in DIR into the file, for "
                                               "attn-generate and attn-embed"),
                                      cl::value_desc("DIR"), cl::cat(category));
static cl::opt<bool> describeOnly("describe", cl::desc("Say what the directory INPUT holds and whether it is supported; compile nothing"),
                                  cl::cat(category));
static cl::opt<bool> listOnly("list-models", cl::desc("Print the model families that can be imported"), cl::cat(category));
static cl::opt<bool> remarks("remarks", cl::desc("Say why ops did not fuse"), cl::cat(category));
static cl::opt<std::string> report("report", cl::desc("Write a page with the graph, costs, memory plan and remarks"),
                                   cl::value_desc("FILE.html"), cl::cat(category));
static cl::opt<std::string> jobs("j", cl::desc("Threads to use (default: all)"), cl::value_desc("N"), cl::Prefix,
                                 cl::cat(category));
static cl::opt<bool> debug("g", cl::desc("Line tables and symbols, for perf and gdb; a directory's graph is written to OUT.attn.mlir"), cl::cat(category));
static cl::opt<bool> verbose("v", cl::desc("Print the time of every step, and sizes"), cl::cat(category));
static cl::opt<std::string> sanitize("sanitize",
                                     cl::desc("address: generated code checks its memory accesses; the program that "
                                              "loads it must be built with -fsanitize=address"),
                                     cl::value_desc("address"), cl::cat(category));

//===----------------------------------------------------------------------===//
// Help
//===----------------------------------------------------------------------===//

static constexpr StringRef kProducts[][2] = {
    {"asm", "assembly of every target"},
    {"obj", "one relocatable object file"},
    {"archive", "static library with a header, for programs without dlopen; needs --name"},
    {"so", "model file with a header: load it with the attn runtime"},
};

static const char *const overview =
    "attnc: compile an attention model ahead of time\n\n"
    "  attnc gpt2/ -o gpt2.so                          a Hugging Face directory; also writes gpt2.h\n"
    "  attnc block.mlir -o block.so --target=native    a hand-written graph, for this CPU only\n"
    "  attnc gpt2/ --describe                          its sizes, memory, entries\n"
    "  attnc gpt2/ --emit=fused                        print a stage; it can be edited and fed back in\n"
    "  attnc gpt2/ -o gpt2.so --tokenizer gpt2/        with its tokenizer and settings inside, for attn-generate\n"
    "  attnc gpt2/ -o libgpt2.a --emit=archive --name=gpt2\n";

static void printExtraHelp() {
  llvm::raw_ostream &out = llvm::outs();
  out << "\nINPUT is a directory with config.json and safetensors, or a .mlir file, whose weights are named relative to it."
         "\n\nSTAGE is one of\n";
  auto row = [&](StringRef name, StringRef description) {
    out << "  " << llvm::left_justify(name, 16) << description << "\n";
  };
  for (const Stage &stage : stages())
    row(stage.name, stage.description);
  for (const Backend &backend : backends())
    for (const PrintedForm &form : backend.forms)
      row(form.name, (form.description + "; needs --target=" + form.target).str());
  for (auto &[name, description] : kProducts)
    row(name, description);
  out << "\nNAME of --target is one of\n";
  row("portable", "every instruction set of this architecture");
  row("native", "the best that this CPU runs");
  for (const Backend &backend : backends())
    for (const TargetRow &target : backend.targets)
      row(target.name, ("backend " + backend.name).str());
  row("halide:TARGET", "a target of Halide, as host, host-opencl, host-vulkan: docs/backends.md");
  row("cuda", "NVIDIA GPUs, with a host like this one: docs/gpu.md");
  out << "\nModel families (--list-models says more):\n ";
  for (const Family &family : families())
    out << " " << family.modelType;
  out << "\n";
}

//===----------------------------------------------------------------------===//
// Parsing
//===----------------------------------------------------------------------===//

static std::string known() {
  std::string names;
  for (const Stage &stage : stages())
    names += stage.name.str() + ", ";
  for (const Backend &backend : backends())
    for (const PrintedForm &form : backend.forms)
      names += form.name.str() + ", ";
  for (auto &[name, description] : kProducts)
    names += (&name == &kProducts[0][0] ? "" : ", ") + name.str();
  return names;
}

static llvm::Error parseEmit(Options &options) {
  for (const Backend &backend : backends())
    for (const PrintedForm &form : backend.forms)
      if (form.name == emitted) { // of the ops that stage "tasks" launches
        options.product = Product::Stage;
        options.stage = "tasks";
        options.form = emitted;
        return llvm::Error::success();
      }
  for (const Stage &stage : stages())
    if (stage.name == emitted) {
      options.product = Product::Stage;
      options.stage = emitted;
      return llvm::Error::success();
    }
  const Product products[] = {Product::Assembly, Product::Object, Product::Archive, Product::SharedLibrary};
  for (auto [product, row] : llvm::zip(products, kProducts))
    if (row[0] == emitted) {
      options.product = product;
      return llvm::Error::success();
    }
  return fail("--emit: expected " + known() + ", got '" + emitted + "'");
}

static llvm::Error parseType(const cl::opt<std::string> &option, StorageType &type) {
  if (!option.getNumOccurrences())
    return llvm::Error::success();
  for (auto [name, value] : {std::pair("f32", StorageType::F32), {"bf16", StorageType::BF16}, {"f16", StorageType::F16}})
    if (option == name) {
      type = value;
      return llvm::Error::success();
    }
  return fail("--" + option.ArgStr + ": expected f32, bf16 or f16, got '" + option + "'");
}

static llvm::Error parseTypes(Options &options) {
  if (llvm::Error error = parseType(dtype, options.dtype))
    return error;
  if (llvm::Error error = parseType(cacheType, options.cache))
    return error;
  if (mathType != "f32" && mathType != "bf16")
    return fail("--math: expected f32 or bf16, got '" + mathType + "'");
  options.bf16Math = mathType == "bf16";
  if (options.bf16Math && dtype.getNumOccurrences() && dtype != "bf16")
    return fail("--math=bf16: expected --dtype=bf16, got " + dtype);
  return llvm::Error::success();
}

static llvm::Error parseWeights(Options &options) {
  if (!weights.getNumOccurrences())
    return llvm::Error::success();
  bool file = options.product == Product::SharedLibrary || options.product == Product::Archive;
  if (!file)
    return fail("--weights: expected --emit=so or archive, got " + emitted);
  if (weights.empty())
    return fail("--weights: expected inside, beside or a file name, got nothing");
  options.weights = weights == "inside" ? WeightsPlace::Inside : WeightsPlace::Beside;
  if (weights != "inside" && weights != "beside")
    options.weightsFile = weights;
  if (options.product == Product::Archive && options.weights == WeightsPlace::Inside)
    return fail("--weights=inside: an archive has its weights beside it");
  return llvm::Error::success();
}

static llvm::Error parseTokenizer(Options &options) {
  options.tokenizer = tokenizer;
  if (!tokenizer.getNumOccurrences())
    return llvm::Error::success();
  if (tokenizer.empty())
    return fail("--tokenizer: expected a directory, got nothing");
  if (options.product != Product::SharedLibrary && options.product != Product::Archive)
    return fail("--tokenizer: expected --emit=so or archive, got " + emitted);
  return llvm::Error::success();
}

static bool isIdentifier(StringRef text) {
  return !text.empty() && !llvm::isDigit(text[0]) &&
         llvm::all_of(text, [](char c) { return llvm::isAlnum(c) || c == '_'; });
}

static llvm::Error parseName(Options &options) {
  options.name = modelName;
  if (modelName.getNumOccurrences() && modelName.empty())
    return fail("--name: expected a name, got nothing");
  if (options.product != Product::Archive)
    return llvm::Error::success();
  if (!modelName.getNumOccurrences())
    return fail("--emit=archive: expected --name=NAME, got none");
  if (!isIdentifier(options.name))
    return fail("--name: expected letters, digits and underscores for an archive, got '" + options.name + "'");
  return llvm::Error::success();
}

static llvm::Error parseOutput(Options &options) {
  if (input.empty())
    return fail("expected INPUT, a model directory or .mlir file, got none: see attnc --help");
  options.input = input;
  options.describe = describeOnly;
  if (options.describe)
    return llvm::Error::success();
  bool text = options.product == Product::Stage || options.product == Product::Assembly;
  options.output = output;
  if (options.output.empty() && text)
    options.output = "-";
  if (options.output.empty())
    return fail("expected -o OUT, got none: see attnc --help");
  if (options.output == "-" && !text)
    return fail("-o: expected a file name with --emit=" + emitted + ", got -");
  if ((options.product == Product::SharedLibrary || options.product == Product::Archive) &&
      StringRef(options.output).ends_with(".h"))
    return fail("-o: expected a name that does not end in .h, which is the header's, got '" + options.output + "'");
  return llvm::Error::success();
}

static llvm::Error parseReport(Options &options) {
  options.report = report;
  if (report.getNumOccurrences() && report.empty())
    return fail("--report: expected a file name, got nothing");
  if (!report.empty() && options.product == Product::Stage)
    return fail("--report: expected --emit=asm, obj, archive or so, got " + emitted);
  return llvm::Error::success();
}

llvm::Expected<Options> parseOptions(int argc, char **argv) {
  cl::HideUnrelatedOptions(category); // libLLVM's own
  cl::SetVersionPrinter([](llvm::raw_ostream &out) { out << compilerVersion() << "\n"; });
  // cl exits after it has printed its help, and its extra help cannot come from tables.
  for (int i = 1; i < argc; ++i)
    if (StringRef(argv[i]) == "--help" || StringRef(argv[i]) == "-help" || StringRef(argv[i]) == "-h") {
      cl::ParseCommandLineOptions(1, argv, overview);
      cl::PrintHelpMessage();
      printExtraHelp();
      std::exit(0);
    }
  std::string text;
  llvm::raw_string_ostream stream(text);
  if (!cl::ParseCommandLineOptions(argc, argv, overview, &stream)) {
    // "attnc: Unknown command line argument '-x'.  Try: …\nattnc: Did you mean '-o'?\n"
    StringRef line = StringRef(text).ltrim().split('\n').first;
    line.consume_front("attnc: ");
    std::string message = line.split("  Try:").first.rtrim(".! ").str();
    if (message.empty())
      return fail(""); // a missing value, which cl printed itself
    message[0] = llvm::toLower(message[0]);
    return fail(message + ": see attnc --help");
  }
  if (listOnly) {
    listModels(llvm::outs());
    std::exit(0);
  }
  Options options;
  for (auto parse : {parseEmit, parseTypes, parseWeights, parseTokenizer, parseName, parseOutput, parseReport})
    if (llvm::Error error = parse(options))
      return std::move(error);
  llvm::Expected<TargetSelection> selection = selectTargets(target, options.bf16Math);
  if (!selection)
    return selection.takeError();
  options.targets = std::move(*selection);
  options.targetGiven = target.getNumOccurrences() != 0;
  if (sanitize.getNumOccurrences() && sanitize != "address")
    return fail("--sanitize: expected address, got '" + sanitize + "'");
  options.sanitizeAddress = sanitize == "address";
  options.remarks = remarks;
  options.debug = debug;
  options.verbose = verbose;
  options.jobs = llvm::hardware_concurrency().compute_thread_count();
  if (jobs.getNumOccurrences() &&
      (StringRef(jobs).getAsInteger(10, options.jobs) || options.jobs < 1 || options.jobs > 1024))
    return fail("-j: expected 1 to 1024, got '" + jobs + "'");
  return options;
}

} // namespace attnc
