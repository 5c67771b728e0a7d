//===- Compile.cpp - From the command line's input to its output ----------------------------------------===//
#include "Compile.h"
#include "Main.h"

#include "backends/Header.h"
#include "backends/Weights.h"
#include "backends/cpu/Link.h"
#include "dialect/AttnDialect.h"
#include "passes/Pipeline.h"

#include "mlir/Dialect/LLVMIR/Transforms/Passes.h"
#include "mlir/IR/Diagnostics.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "mlir/Pass/PassManager.h"
#include "mlir/Target/LLVMIR/Dialect/Builtin/BuiltinToLLVMIRTranslation.h"
#include "mlir/Target/LLVMIR/Dialect/LLVMIR/LLVMToLLVMIRTranslation.h"
#include "mlir/Transforms/LocationSnapshot.h"
#include "llvm/ADT/ScopeExit.h"
#include "llvm/Support/FileSystem.h"
#include "llvm/Support/Format.h"
#include "llvm/Support/MD5.h"
#include "llvm/Support/MemoryBuffer.h"
#include "llvm/Support/Parallel.h"
#include "llvm/Support/Path.h"
#include "llvm/Support/Threading.h"

#include <filesystem>

namespace attnc {
using namespace mlir;

/// On a module: the last stage that it has passed.
static constexpr llvm::StringLiteral kStageAttr = "attn.stage";
/// Between the modules of several targets in one text, as in mlir-opt --split-input-file.
static constexpr llvm::StringLiteral kSeparator = "// -----\n";
static constexpr uint64_t kMaxWeightsInside = 2ull << 30;

//===----------------------------------------------------------------------===//
// Set-up and diagnostics
//===----------------------------------------------------------------------===//

Compiler::Compiler(const Options &options)
    : options(options), backend(options.targets.backend), context(MLIRContext::Threading::DISABLED), last(std::chrono::steady_clock::now()) {
  llvm::parallel::strategy = llvm::hardware_concurrency(options.jobs);
  if (options.jobs > 1) {
    pool.emplace(llvm::hardware_concurrency(options.jobs));
    context.setThreadPool(*pool);
  }
  DialectRegistry registry;
  registerAllDialects(registry);
  registry.insert<attn::AttnDialect>();
  registerBuiltinDialectTranslation(registry);
  registerLLVMDialectTranslation(registry);
  context.appendDialectRegistry(registry);
  context.printOpOnDiagnostic(false);
  context.getDiagEngine().registerHandler([this](Diagnostic &diagnostic) { report(diagnostic); });
}

Compiler::~Compiler() {
  cancelled = true;
  if (storing.valid())
    llvm::consumeError(storing.get());
}

/// "file:line:column: ", or "attnc: " if the location is in no file.
static std::string locationText(Location loc) {
  if (auto found = loc->findInstanceOf<FileLineColLoc>())
    return (found.getFilename().getValue() + ":" + llvm::Twine(found.getLine()) + ":" + llvm::Twine(found.getColumn()) +
            ": ")
        .str();
  return "attnc: ";
}

void Compiler::report(Diagnostic &diagnostic) {
  if (diagnostic.getSeverity() == DiagnosticSeverity::Remark) {
    if (page)
      page->addRemark(locationText(diagnostic.getLocation()), diagnostic.str());
    if (!options.remarks)
      return;
  }
  auto print = [](Diagnostic &diagnostic) {
    static constexpr const char *kinds[] = {"note: ", "warning: ", "error: ", "remark: "};
    llvm::errs() << locationText(diagnostic.getLocation()) << kinds[unsigned(diagnostic.getSeverity())]
                 << llvm::StringRef(diagnostic.str()).rtrim() << "\n";
  };
  print(diagnostic);
  for (Diagnostic &note : diagnostic.getNotes())
    print(note);
  reported |= diagnostic.getSeverity() == DiagnosticSeverity::Error;
}

llvm::Error Compiler::failed(const llvm::Twine &message) {
  return reported ? llvm::createStringError(llvm::inconvertibleErrorCode(), "") : fail(message);
}

void Compiler::timed(const llvm::Twine &what) {
  auto now = std::chrono::steady_clock::now();
  if (options.verbose)
    llvm::errs() << llvm::format("%8.1f ms  ", std::chrono::duration<double, std::milli>(now - last).count()) << what
                 << "\n";
  last = now;
}

//===----------------------------------------------------------------------===//
// Outputs
//===----------------------------------------------------------------------===//

static std::string withExtension(llvm::StringRef path, llvm::StringRef extension) {
  llvm::SmallString<128> result(path);
  llvm::sys::path::replace_extension(result, extension);
  return std::string(result);
}

static std::filesystem::path absolute(llvm::StringRef path) {
  llvm::SmallString<128> result(path);
  llvm::sys::fs::make_absolute(result);
  llvm::sys::path::remove_dots(result, true);
  return std::string(result);
}

llvm::Error Compiler::openOutputs() {
  auto open = [](llvm::StringRef path, bool executable, std::optional<OutputFile> &file) -> llvm::Error {
    llvm::Expected<OutputFile> created = OutputFile::create(path, executable);
    if (!created)
      return created.takeError();
    file.emplace(std::move(*created));
    return llvm::Error::success();
  };
  bool shared = options.product == Product::SharedLibrary, archive = options.product == Product::Archive;
  if (llvm::Error error = open(options.output, shared, output))
    return error;
  if (!options.report.empty()) {
    if (llvm::Error error = open(options.report, false, pageOutput))
      return error;
    page.emplace();
  }
  if (shared || archive)
    if (llvm::Error error = open(withExtension(options.output, "h"), false, header))
      return error;
  if (options.weights != WeightsPlace::Beside && !archive)
    return llvm::Error::success();
  return open(code.weightsFile, false, weightsOutput);
}

/// --weights=FILE, or OUT's or the archive's name with .weights.
static std::string weightsPath(const Options &options) {
  if (!options.weightsFile.empty())
    return options.weightsFile;
  if (options.product != Product::Archive)
    return withExtension(options.output, "weights");
  llvm::SmallString<128> path(llvm::sys::path::parent_path(options.output));
  llvm::sys::path::append(path, options.name + ".weights");
  return std::string(path);
}

//===----------------------------------------------------------------------===//
// Input
//===----------------------------------------------------------------------===//

llvm::Error Compiler::load() {
  if (options.graph) {
    auto module = options.graph(&context);
    if (!module)
      return reported ? (llvm::consumeError(module.takeError()), failed("")) : module.takeError();
    works.push_back({std::move(*module), nullptr, 0});
  } else if (llvm::sys::fs::is_directory(options.input)) {
    directory = options.input;
    bool store = options.bf16Math && options.dtype == StorageType::AsStored;
    auto module = importDirectory(&context, options.input, ImportOptions{store ? StorageType::BF16 : options.dtype, options.cache});
    if (!module)
      return module.takeError();
    works.push_back({std::move(*module), nullptr, 0});
    if (options.debug && options.product != Product::Stage)
      if (llvm::Error error = writeSource())
        return error;
  } else {
    directory = llvm::sys::path::parent_path(options.input).str();
    if (llvm::Error error = loadText())
      return error;
  }
  if (directory.empty())
    directory = ".";
  timed("read " + options.input);
  return llvm::Error::success();
}

/// An imported graph has no source lines: with -g its text is written to OUT.attn.mlir, and locations point there.
llvm::Error Compiler::writeSource() {
  std::string path = withExtension(options.output, "attn.mlir");
  llvm::Expected<OutputFile> created = OutputFile::create(path);
  if (!created)
    return created.takeError();
  source.emplace(std::move(*created));
  std::string text;
  llvm::raw_string_ostream stream(text);
  mlir::generateLocationsFromIR(stream, path, *works[0].module, mlir::OpPrintingFlags());
  return source->write(text);
}

llvm::Error Compiler::loadText() {
  for (auto [given, name] : {std::pair(options.dtype != StorageType::AsStored, "--dtype"), {options.cache != StorageType::F32, "--cache-dtype"}})
    if (given)
      return fail(llvm::Twine(name) + ": expected a model directory as INPUT; a .mlir file states its types itself");
  llvm::sys::fs::file_status status;
  if (std::error_code code = llvm::sys::fs::status(options.input, status))
    return fail("cannot read '" + options.input + "': " + code.message());
  if (!llvm::sys::fs::is_regular_file(status))
    return fail("cannot read '" + options.input + "': expected a directory or a .mlir file");
  auto buffer = llvm::MemoryBuffer::getFile(options.input);
  if (!buffer)
    return fail("cannot read '" + options.input + "': " + buffer.getError().message());
  llvm::StringRef rest = (*buffer)->getBuffer();
  size_t line = 0;
  do {
    llvm::StringRef text = rest;
    size_t end = rest.starts_with(kSeparator) ? 0 : rest.find(("\n" + kSeparator).str());
    if (end != llvm::StringRef::npos) {
      text = rest.take_front(end == 0 ? 0 : end + 1);
      rest = rest.drop_front(text.size() + kSeparator.size());
    } else {
      rest = {};
    }
    if (!text.trim().empty()) {
      std::string padded(line, '\n'); // so that line numbers are the file's
      padded += text;
      auto module = parseSourceString<ModuleOp>(padded, ParserConfig(&context), options.input);
      if (!module)
        return failed("cannot read '" + options.input + "': expected an MLIR module");
      works.push_back({std::move(module), nullptr, 0});
    }
    line += text.count('\n') + 1;
  } while (!rest.empty());
  if (works.empty())
    return fail("cannot read '" + options.input + "': expected an MLIR module, got an empty file");

  for (Work &work : works) {
    ModuleOp module = *work.module;
    if (auto stage = module->getAttrOfType<StringAttr>(kStageAttr)) {
      auto found = llvm::find_if(stages(), [&](const Stage &row) { return row.name == stage.getValue(); });
      if (found == stages().end())
        return fail("'" + options.input + "': expected a known stage in " + kStageAttr + ", got '" + stage.getValue() +
                    "'");
      work.stage = found - stages().begin() + 1;
    }
    bool perTarget = work.stage > 0 && stages()[work.stage - 1].perTarget;
    if (works.size() > 1 && !perTarget)
      return fail("'" + options.input + "': expected one module, got " + llvm::Twine(works.size()));
    if (!perTarget)
      continue;
    auto target = module->getAttrOfType<attn::TargetAttr>(attn::kTargetAttr);
    if (!target)
      return fail("'" + options.input + "': expected a known target in " + attn::kTargetAttr);
    llvm::Expected<TargetSelection> selection = selectTargets(target.getName(), target.getBf16Dot());
    if (!selection)
      return fail("'" + options.input + "': expected a known target in " + attn::kTargetAttr + ": " +
                  llvm::toString(selection.takeError()));
    work.row = selection->rows[0];
    backend = selection->backend;
    if (options.targetGiven)
      return fail("--target: the input is for " + work.row->name + " already");
    if (options.bf16Math && !target.getBf16Dot())
      return fail("--math=bf16: the input is for " + work.row->name + " with f32 already");
    if (work.stage != works[0].stage)
      return fail("'" + options.input + "': expected modules of one stage");
  }
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Stages
//===----------------------------------------------------------------------===//

llvm::Error Compiler::runStage(Work &work) {
  const Stage &stage = stages()[work.stage];
  auto pm = PassManager::on<ModuleOp>(&context);
  bool launches = work.row && backend->device;
  stage.build(pm, launches ? backend->device(*work.row) : DeviceCheck());
  if (mlir::failed(pm.run(*work.module)))
    return failed("internal error: stage '" + stage.name + "' failed");
  (*work.module)->setAttr(kStageAttr, StringAttr::get(&context, stage.name));
  ++work.stage;
  timed("stage " + stage.name + (work.row ? " for " + work.row->name : llvm::StringRef().str()));
  return llvm::Error::success();
}

/// Stages that are the same for all targets; then one copy per target.
llvm::Error Compiler::runShared() {
  lastStage = stages().size() - 1;
  if (options.product == Product::Stage)
    lastStage = llvm::find_if(stages(), [&](const Stage &row) { return row.name == options.stage; }) -
                stages().begin();
  if (works[0].stage > lastStage + 1 || (works[0].stage == lastStage + 1 && options.product == Product::Stage &&
                                         works[0].stage > 0 && stages()[works[0].stage - 1].name != options.stage))
    return fail("--emit=" + options.stage + ": the input is at stage '" + stages()[works[0].stage - 1].name +
                "' already");
  if (works[0].row)
    return llvm::Error::success();
  while (works[0].stage <= lastStage && !stages()[works[0].stage].perTarget)
    if (llvm::Error error = runStage(works[0]))
      return error;
  return llvm::Error::success();
}

/// Name of the model: --name, or the input's last path component.
static std::string nameOf(const Options &options) {
  if (!options.name.empty())
    return options.name;
  std::filesystem::path path = absolute(options.input);
  std::string name = llvm::sys::fs::is_directory(options.input) ? path.filename() : path.stem();
  return name.empty() ? "model" : name;
}

/// Depends on everything that decides the code and the weights' layout.
std::string Compiler::makeBuildId() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (Work &work : works)
    stream << *work.module << "\n";
  for (const TargetRow *row : options.targets.rows)
    stream << row->getAttr(&context) << "\n";
  stream << code.modelName << "\n" << code.debug << code.sanitizeAddress << "\n" << compilerVersion() << "\n";
  llvm::MD5 hash;
  hash.update(text);
  return std::string(hash.final().digest());
}

/// The boundary, the build id and the weights, from the last form that all targets share.
llvm::Error Compiler::describeModel() {
  const TargetRow &row = *(works[0].row ? works[0].row : options.targets.rows[0]);
  if (row.archiveOnly && (options.product == Product::SharedLibrary || options.product == Product::Object))
    return fail("--target=" + row.name + ": expected --emit=archive, which is linked into a program, or asm");
  code.modelName = nameOf(options);
  code.debug = options.debug;
  code.sanitizeAddress = options.sanitizeAddress;
  code.jobs = options.jobs;
  if (options.product == Product::Archive)
    code.symbolPrefix = options.name;
  code.buildId = makeBuildId();
  for (Work &work : works)
    if (mlir::failed(recordInterface(*work.module)))
      return failed("internal error: the model has no interface");
  FailureOr<ModelInterface> read = readInterface(*works[0].module);
  if (mlir::failed(read))
    return failed("internal error: the model's interface is malformed");
  model = std::move(*read);
  for (Work &work : works)
    if ((*work.module)->getAttr(kInterfaceAttr) != (*works[0].module)->getAttr(kInterfaceAttr) ||
        (*work.module)->getAttr(kParametersAttr) != (*works[0].module)->getAttr(kParametersAttr))
      return fail("'" + options.input + "': expected modules with the same " + kInterfaceAttr + " and " +
                  kParametersAttr);
  FailureOr<std::vector<Parameter>> found = readParameters(*works[0].module);
  if (mlir::failed(found))
    return failed("internal error: the model's parameters are malformed");
  parameters = std::move(*found);
  if (parameters.empty())
    model.weightsBytes = 0;
  return llvm::Error::success();
}

/// Opens and checks the weights, and decides where they go.
llvm::Error Compiler::chooseWeights() {
  bool file = options.product == Product::SharedLibrary || options.product == Product::Archive;
  bool tooLarge = model.weightsBytes > kMaxWeightsInside;
  if (options.weights == WeightsPlace::Inside && tooLarge)
    return fail("--weights=inside: expected at most " + llvm::Twine(kMaxWeightsInside) + " bytes, got " +
                llvm::Twine(model.weightsBytes) + ": use --weights=beside");
  weightsInside = options.product == Product::SharedLibrary && options.weights != WeightsPlace::Beside && !tooLarge;
  std::string path = weightsPath(options);
  if (!weightsInside)
    code.weightsFile = absolute(path).lexically_proximate(absolute(options.output).parent_path());
  if (!file || !model.weightsBytes) {
    weightsOutput.reset();
    return llvm::Error::success();
  }
  if (!weightsInside && !weightsOutput) { // too large to go inside
    llvm::Expected<OutputFile> created = OutputFile::create(path);
    if (!created)
      return created.takeError();
    weightsOutput.emplace(std::move(*created));
  }
  llvm::Expected<WeightSet> opened = openWeights(*works[0].module, directory);
  if (!opened)
    return opened.takeError();
  weights.emplace(std::move(*opened));
  if (options.verbose)
    for (llvm::StringRef name : unusedTensors(*works[0].module, *weights))
      llvm::errs() << "             not used: " << name << "\n";
  return checkWeights(parameters, *weights);
}

/// Reads the files of --tokenizer and checks them as the tools of text do, and against the model's vocabulary.
llvm::Error Compiler::readTokenizer() {
  if (options.tokenizer.empty())
    return llvm::Error::success();
  auto vocabulary = model.metadata ? model.metadata.getAs<IntegerAttr>("vocab_size") : IntegerAttr();
  uint64_t size = vocabulary ? vocabulary.getValue().getLimitedValue(INT32_MAX) : 0;
  auto read = ::attn::text::readTokenizerFiles(options.tokenizer, static_cast<int64_t>(size));
  if (!read)
    return fail("--tokenizer: " + read.error().text);
  tokenizer = std::move(*read);
  for (const ::attn::text::NamedFile &file : tokenizer)
    code.files.push_back({file.name, file.content});
  timed("read the tokenizer");
  return llvm::Error::success();
}

//===----------------------------------------------------------------------===//
// Output
//===----------------------------------------------------------------------===//

llvm::Error Compiler::printStage() {
  std::string text;
  llvm::raw_string_ostream stream(text);
  for (Work &work : works) {
    if (&work != &works[0])
      stream << kSeparator;
    auto isAsked = [&](const PrintedForm &form) { return form.name == options.form; };
    if (options.form.empty()) {
      stream << *work.module << "\n";
    } else if (llvm::none_of(backend->forms, isAsked)) {
      for (const Backend &other : backends())
        if (auto form = llvm::find_if(other.forms, isAsked); form != other.forms.end())
          return fail("--emit=" + options.form + ": expected --target=" + form->target + ", got " + work.row->name);
    } else {
      llvm::Expected<std::string> pipelines = backend->print(*work.row, *work.module, options.form);
      if (!pipelines)
        return pipelines.takeError();
      stream << *pipelines;
    }
  }
  return output->write(text);
}

llvm::Error Compiler::writeAssembly(llvm::ArrayRef<CodeObject> objects) {
  for (const CodeObject &object : objects)
    if (llvm::Error error = output->write(("# ---- " + object.name + "\n" + llvm::StringRef(object.bytes)).str()))
      return error;
  return llvm::Error::success();
}

llvm::Error Compiler::storeWeights(uint64_t start) {
  int fd = weightsInside ? output->descriptor() : weightsOutput->descriptor();
  return writeWeights(fd, start, model.weightsBytes, code.buildId, parameters, *weights, &cancelled);
}

/// Where weights begin in a file whose code is not there yet: room for as much as code usually takes, but a small part of
/// the file. Where it is too little the weights are written again.
static uint64_t expectedCode(uint64_t weightsBytes, const CodeOptions &code) {
  uint64_t bytes = std::min<uint64_t>(1 << 20, weightsBytes / 48);
  for (const auto &file : code.files)
    bytes += file.content.size();
  return llvm::alignTo(bytes, 64 << 10); // as the segment is
}

llvm::Error Compiler::writeModel(llvm::ArrayRef<CodeObject> objects) {
  uint64_t inside = weightsInside ? model.weightsBytes : 0, offset = 0;
  bool stored = storing.valid();
  if (stored)
    if (llvm::Error error = storing.get())
      return error;
  llvm::SmallString<0> bytes;
  if (options.product == Product::Archive) {
    llvm::Expected<llvm::SmallString<0>> archive = makeArchive(objects, options.name);
    if (!archive)
      return archive.takeError();
    bytes = std::move(*archive);
  } else {
    llvm::Expected<LinkedFile> linked = options.product == Product::Object ? linkRelocatable(objects, code)
                                                                           : linkShared(objects, inside, weightsFrom, code);
    if (!linked)
      return linked.takeError();
    bytes = std::move(linked->bytes);
    offset = linked->weightsOffset;
  }
  timed("link, " + llvm::Twine(bytes.size()) + " bytes without weights");
  bytes.resize(std::max<uint64_t>(bytes.size(), offset)); // zeros up to the weights
  if (llvm::Error error = output->write(bytes))
    return error;
  if (weights) {
    if (!stored || offset != weightsFrom) // not yet, or code needs their place
      if (llvm::Error error = storeWeights(offset))
        return error;
    timed("weights, " + llvm::Twine(model.weightsBytes) + " bytes");
  }
  if (!header)
    return llvm::Error::success();
  return header->write(headerText(model, code, llvm::sys::path::filename(options.output)));
}

/// The graph of the page, from the last form that all targets share.
llvm::Error Compiler::startReport() {
  if (works[0].row)
    return fail("--report: expected an input before stage 'tasks', got '" + stages()[works[0].stage - 1].name + "'");
  page->addGraph(*works[0].module, model);
  timed("graph of the report");
  return llvm::Error::success();
}

llvm::Error Compiler::generate() {
  bool assembly = options.product == Product::Assembly;
  llvm::Expected<std::unique_ptr<Compilation>> compilation =
      backend->start(model, code, assembly);
  if (!compilation)
    return compilation.takeError();
  constexpr uint64_t kManyWeights = 8 << 20; // fewer take some milliseconds
  if (weights && model.weightsBytes >= kManyWeights) {
    weightsFrom = weightsInside ? expectedCode(model.weightsBytes, code) : 0; // the same whatever -j says
    if (options.jobs > 1)
      storing = std::async(std::launch::async, [this] { return storeWeights(weightsFrom); });
  }
  // A variant's code is generated while the next one's stages run.
  for (Work &work : works) {
    while (work.stage <= lastStage) {
      if (llvm::Error error = runStage(work))
        return error;
      if (page && stages()[work.stage - 1].name == "vector")
        page->addVariant(work.row->name, *work.module, model);
    }
    if (options.product == Product::Stage)
      continue;
    if (options.debug) {
      auto pm = PassManager::on<ModuleOp>(&context);
      pm.addPass(LLVM::createDIScopeForLLVMFuncOpPass());
      if (mlir::failed(pm.run(*work.module)))
        return failed("internal error: no debug information");
    }
    if (llvm::Error error = (*compilation)->addVariant(*work.row, *work.module))
      return reported ? (llvm::consumeError(std::move(error)), failed("")) : std::move(error);
    work.module = {};
    timed("LLVM IR for " + work.row->name);
  }
  if (options.product == Product::Stage)
    return printStage();
  llvm::Expected<std::vector<CodeObject>> objects = (*compilation)->finish();
  if (!objects)
    return objects.takeError();
  timed("code generation");
  if (page)
    if (llvm::Error error = pageOutput->write(page->render(model, code, parameters)))
      return error;
  return assembly ? writeAssembly(*objects) : writeModel(*objects);
}

llvm::Error Compiler::commit() {
  for (std::optional<OutputFile> *file : {&weightsOutput, &header, &source, &pageOutput, &output})
    if (*file)
      if (llvm::Error error = (*file)->commit())
        return error;
  return llvm::Error::success();
}

llvm::Error Compiler::run() {
  code.weightsFile = weightsPath(options); // until it is known whether they go inside
  if (absolute(code.weightsFile) == absolute(options.output) ||
      (options.weights == WeightsPlace::Beside &&
       absolute(code.weightsFile) == absolute(withExtension(options.output, "h"))))
    return fail("--weights: expected another file than the model and its header, got '" + code.weightsFile + "'");
  for (const std::string &other : {options.output, code.weightsFile, withExtension(options.output, "h")})
    if (!options.report.empty() && absolute(options.report) == absolute(other))
      return fail("--report: expected another file than the model, its header and its weights, got '" + options.report +
                  "'");
  for (auto step : {&Compiler::openOutputs, &Compiler::load, &Compiler::runShared})
    if (llvm::Error error = (this->*step)())
      return error;
  code.weightsFile.clear();
  if (works[0].stage > lastStage) { // only now is it certain that stage lastStage was a shared one, or the input's
    if (options.product == Product::Stage) {
      if (llvm::Error error = printStage())
        return error;
      return commit();
    }
  }
  for (auto step : {&Compiler::describeModel, &Compiler::readTokenizer, &Compiler::chooseWeights})
    if (llvm::Error error = (this->*step)())
      return error;
  if (page)
    if (llvm::Error error = startReport())
      return error;
  if (!works[0].row) {
    OwningOpRef<ModuleOp> shared = std::move(works[0].module);
    size_t stage = works[0].stage;
    works.clear();
    for (const TargetRow *row : options.targets.rows) {
      Work &work = works.emplace_back(Work{shared->clone(), row, stage});
      (*work.module)->setAttr(attn::kTargetAttr, row->getAttr(&context));
    }
  }
  if (llvm::Error error = generate())
    return error;
  return commit();
}

// Here and not in Main.cpp, whose command line would come with it.
llvm::Error compileGraph(GraphSource graph, llvm::StringRef name, llvm::StringRef output, llvm::StringRef target) {
  llvm::Expected<TargetSelection> selection = selectTargets(target, /*bf16Math=*/false);
  if (!selection)
    return selection.takeError();
  Options options;
  options.input = options.name = name.str();
  options.output = output.str();
  options.graph = std::move(graph);
  options.targets = std::move(*selection);
  options.targetGiven = true;
  options.jobs = llvm::hardware_concurrency().compute_thread_count();
  return Compiler(options).run();
}

} // namespace attnc
