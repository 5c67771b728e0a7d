//===- op_test.cpp - Runs one op of a pipeline on every device that is here -------------------===//
#include "op_test.h"

#include "mlir/Dialect/Arith/IR/Arith.h"
#include "mlir/Dialect/Linalg/IR/Linalg.h"
#include "mlir/Dialect/Math/IR/Math.h"
#include "mlir/Dialect/MemRef/IR/MemRef.h"
#include "mlir/Parser/Parser.h"

#include <sys/mman.h>

/// PoCL and code made by Halide's JIT keep some memory to the end.
extern "C" int __lsan_is_turned_off() { return 1; }

namespace attnc::halide {

//===----------------------------------------------------------------------===//
// Numbers
//===----------------------------------------------------------------------===//

int64_t Tensor::size() const {
  int64_t n = 1;
  for (int64_t d : shape)
    n *= d;
  return n;
}

Tensor Tensor::parameter() const {
  Tensor copy = *this;
  copy.isParameter = true;
  return copy;
}

Tensor Tensor::absent(std::string type, size_t rank) {
  Tensor tensor(std::move(type), std::vector<int64_t>(rank, 1));
  tensor.isGiven = false;
  return tensor;
}

namespace {
int bytesOf(const std::string &type) {
  return type == "bf16" || type == "f16" ? 2 : type == "f32" || type == "i32" ? 4 : type == "i1" ? 1 : 8;
}

void store(const std::string &type, char *to, double value) {
  auto put = [&](auto v) { std::memcpy(to, &v, sizeof v); };
  if (type == "f32")
    put(float(value));
  else if (type == "f64")
    put(value);
  else if (type == "i64")
    put(int64_t(value));
  else if (type == "i32")
    put(int32_t(value));
  else if (type == "i1")
    put(uint8_t(value != 0));
  else if (type == "f16")
    put(Halide::float16_t(value).to_bits());
  else
    put(Halide::bfloat16_t(value).to_bits());
}

double load(const std::string &type, const char *from) {
  auto get = [&](auto v) {
    std::memcpy(&v, from, sizeof v);
    return v;
  };
  if (type == "f32")
    return get(float());
  if (type == "f64")
    return get(double());
  if (type == "i64")
    return get(int64_t());
  if (type == "i32")
    return get(int32_t());
  if (type == "i1")
    return get(uint8_t()) != 0;
  if (type == "f16")
    return double(Halide::float16_t::make_from_bits(get(uint16_t())));
  return double(Halide::bfloat16_t::make_from_bits(get(uint16_t())));
}
} // namespace

double roundTo(const std::string &type, double value) {
  char bytes[8];
  store(type, bytes, value);
  return load(type, bytes);
}

Random::Random()
    : seed([] {
        const char *given = std::getenv("ATTN_TEST_SEED");
        return given ? unsigned(std::stoul(given)) : 9u;
      }()),
      engine(seed), trace(__FILE__, __LINE__, "ATTN_TEST_SEED=" + std::to_string(seed)) {}

Tensor Random::normal(std::string type, std::vector<int64_t> shape, double deviation) {
  Tensor tensor(std::move(type), std::move(shape));
  std::normal_distribution<double> distribution(0, deviation);
  for (double &v : tensor.values)
    v = roundTo(tensor.type, distribution(engine));
  return tensor;
}

Tensor Random::integers(std::string type, std::vector<int64_t> shape, int64_t least, int64_t most) {
  Tensor tensor(std::move(type), std::move(shape));
  for (double &v : tensor.values)
    v = double(integer(least, most));
  return tensor;
}

void expectNear(const Tensor &result, const Tensor &expected, double tolerance) {
  ASSERT_EQ(result.shape, expected.shape);
  double error = 0, norm = 0;
  for (size_t i = 0; i < expected.values.size(); ++i) {
    double got = result.values[i], want = expected.values[i];
    if (std::isfinite(want) && std::isfinite(got)) {
      error += (got - want) * (got - want);
      norm += want * want;
    } else if (!(std::isnan(want) ? std::isnan(got) : got == want)) {
      FAIL() << "element " << i << ": expected " << want << ", got " << got;
    }
  }
  EXPECT_LE(std::sqrt(error), tolerance * std::sqrt(norm)) << "of norm " << std::sqrt(norm);
}

//===----------------------------------------------------------------------===//
// Running
//===----------------------------------------------------------------------===//

const std::vector<Halide::Target> &targets() {
  static const std::vector<Halide::Target> list = [] {
    Halide::Target host = Halide::get_host_target();
    std::vector<Halide::Target> found = {host};
    if (host.arch == Halide::Target::X86)
      for (const char *name : {"x86-64-linux-sse41", "x86-64-linux-avx-avx2-f16c-fma-sse41"})
        found.push_back(Halide::Target(name));
    Halide::Target opencl = host.with_feature(Halide::Target::OpenCL);
    if (Halide::host_supports_target_device(opencl))
      found.push_back(opencl);
    return found;
  }();
  return list;
}

namespace {
/// Memory that ends where a page begins that faults.
class Memory {
public:
  explicit Memory(size_t size) : pages((size + page - 1) / page * page) {
    base = static_cast<char *>(mmap(nullptr, pages + page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0));
    mprotect(base + pages, page, PROT_NONE);
    data = base + pages - size;
  }
  Memory(Memory &&other) : base(other.base), data(other.data), pages(other.pages) { other.base = nullptr; }
  ~Memory() {
    if (base)
      munmap(base, pages + page);
  }
  char *base, *data;

private:
  static constexpr size_t page = 4096;
  size_t pages;
};

struct Parsed {
  mlir::MLIRContext context;
  mlir::OwningOpRef<mlir::ModuleOp> module;
  attn::PipelineOp pipeline;

  Parsed(const std::string &op, const std::vector<const Tensor *> &operands) {
    context.loadDialect<attn::AttnDialect, mlir::arith::ArithDialect, mlir::math::MathDialect, mlir::memref::MemRefDialect,
                        mlir::linalg::LinalgDialect>();
    std::string arguments, types;
    for (size_t i = 0; i < operands.size(); ++i) {
      const Tensor &tensor = *operands[i];
      std::string type = "memref<";
      for (size_t d = 0; d < tensor.shape.size(); ++d)
        type += (tensor.isParameter || d + 1 == tensor.shape.size() ? std::to_string(tensor.shape[d]) : "?") + "x";
      type += tensor.type + ">";
      arguments += (i ? ", %" : "%") + std::to_string(i) + ": " + type;
      types += (i ? ", " : "") + type;
    }
    // A statement with types of its own is complete.
    std::string statement = op.find(") -> ()") == std::string::npos ? op + " : (" + types + ") -> ()" : op;
    std::string text = "attn.pipeline @tested {\n^bb0(" + arguments + "):\n  " + statement + "\n}\n";
    module = mlir::parseSourceString<mlir::ModuleOp>(text, mlir::ParserConfig(&context));
    if (!module)
      throw std::runtime_error("does not parse: " + text);
    pipeline = *module->getOps<attn::PipelineOp>().begin();
  }
};

/// The buffer that the launch gives for a tensor: dimensions from the innermost.
Halide::Buffer<> bufferOf(const Tensor &tensor, char *data, Halide::Type type, size_t rank) {
  std::vector<halide_dimension_t> dims;
  int64_t stride = 1;
  std::vector<int64_t> shape = tensor.shape;
  shape.resize(rank); // pairs of 16-bit floats are one element
  for (size_t d = rank; d-- > 0;) {
    // One that is left out is a zero wherever it is read.
    dims.push_back(tensor.isGiven ? halide_dimension_t(0, shape[d], stride) : halide_dimension_t(0, rank == 1 ? 1 << 30 : 1 << 15, 0));
    stride *= shape[d];
  }
  return Halide::Buffer<>(type, data, rank, dims.data());
}

std::vector<const Tensor *> joined(const std::vector<const Tensor *> &inputs, const std::vector<Tensor *> &outputs) {
  std::vector<const Tensor *> all = inputs;
  all.insert(all.end(), outputs.begin(), outputs.end());
  return all;
}
} // namespace

void run(const Halide::Target &target, const std::string &op, const std::vector<const Tensor *> &inputs,
         const std::vector<Tensor *> &outputs) {
  SCOPED_TRACE(op + " on " + target.to_string());
  try {
    Parsed parsed(op, joined(inputs, outputs));
    Device device{target};
    auto pipeline = buildPipeline(parsed.pipeline, device);
    if (!pipeline) {
      ADD_FAILURE() << llvm::toString(pipeline.takeError());
      return;
    }
    auto arguments = parsed.pipeline.getBody().front().getArguments();
    std::vector<Memory> memory;
    std::vector<Halide::Buffer<>> buffers, results;
    uint64_t given = 0;
    const size_t guard = 64; // before and behind an output
    for (size_t i = 0; i < inputs.size() + outputs.size(); ++i) {
      bool isOutput = i >= inputs.size();
      const Tensor &tensor = isOutput ? *outputs[i - inputs.size()] : *inputs[i];
      const int width = bytesOf(tensor.type);
      const size_t size = tensor.size() * width;
      memory.emplace_back(size + (isOutput ? 2 * guard : 0));
      char *data = memory.back().data + (isOutput ? guard : 0);
      if (isOutput)
        std::memset(memory.back().data, 0xb5, size + 2 * guard);
      else
        for (int64_t e = 0; e < tensor.size(); ++e)
          store(tensor.type, data + e * width, tensor.isGiven ? tensor.values[e] : 0);
      given |= uint64_t(tensor.isGiven) << i;
      if (isOutput) {
        Halide::Type type = pipeline->get()->outputs().outputs()[results.size()].types()[0];
        results.push_back(bufferOf(tensor, data, type, tensor.shape.size()));
        continue;
      }
      Halide::ImageParam &image = pipeline->get()->image(arguments[i]);
      buffers.push_back(bufferOf(tensor, data, image.type(), image.dimensions()));
      buffers.back().set_host_dirty();
      image.set(buffers.back());
    }
    if (llvm::all_of(outputs, [](Tensor *output) { return output->size() == 0; }))
      return; // is not launched
    pipeline->get()->setGiven(given);
    Halide::Realization realization(results);
    pipeline->get()->outputs().realize(realization, target);
    for (size_t i = 0; i < outputs.size(); ++i) {
      results[i].copy_to_host();
      Tensor &tensor = *outputs[i];
      const int width = bytesOf(tensor.type);
      const char *data = memory[inputs.size() + i].data;
      for (int64_t e = 0; e < tensor.size(); ++e)
        tensor.values[e] = load(tensor.type, data + guard + e * width);
      for (size_t b = 0; b < guard; ++b)
        if (uint8_t(data[b]) != 0xb5 || uint8_t(data[guard + tensor.size() * width + b]) != 0xb5) {
          ADD_FAILURE() << "written outside of output " << i;
          break;
        }
    }
  } catch (const Halide::Error &error) {
    ADD_FAILURE() << error.what();
  } catch (const std::exception &error) {
    ADD_FAILURE() << error.what();
  }
}

std::string refusal(const Halide::Target &target, const std::string &op, const std::vector<const Tensor *> &operands) {
  Parsed parsed(op, operands);
  Device device{target};
  auto pipeline = buildPipeline(parsed.pipeline, device);
  return pipeline ? "" : llvm::toString(pipeline.takeError());
}

void check(const std::string &op, const std::vector<const Tensor *> &inputs, const Tensor &expected, double tolerance) {
  for (const Halide::Target &target : targets()) {
    SCOPED_TRACE(op + " on " + target.to_string());
    Tensor result(expected.type, expected.shape);
    run(target, op, inputs, {&result});
    expectNear(result, expected, tolerance);
  }
}

} // namespace attnc::halide
