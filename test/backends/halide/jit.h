// jit.h: runs the text of one attn.pipeline with Halide's JIT, for tests of the translation.
#ifndef ATTN_TEST_HALIDE_JIT_H
#define ATTN_TEST_HALIDE_JIT_H

#include "backends/halide/Pipeline.h"

#include "mlir/IR/BuiltinOps.h"
#include "mlir/InitAllDialects.h"
#include "mlir/Parser/Parser.h"
#include "gtest/gtest.h"

#include <variant>

/// PoCL and code made by Halide's JIT keep some memory to the end.
extern "C" int __lsan_is_turned_off() { return 1; }

namespace attnc::halide {

/// One argument of a pipeline, in its order: a buffer with Halide's order of dimensions (the last one of MLIR first; bf16 and f16
/// as uint16_t), an index or i64, or nothing, for an optional input that is not given.
using JitArgument = std::variant<std::monostate, Halide::Buffer<>, int64_t>;

class JitPipeline {
public:
  /// `text` is the block arguments and the op: "(%x: memref<?x8xf32>, ...) { attn.… }". Targets: "host", "host-opencl", …
  explicit JitPipeline(const std::string &arguments, const std::string &op, const std::string &target = "host")
      : device{Halide::Target(target)} {
    mlir::DialectRegistry registry;
    mlir::registerAllDialects(registry);
    registry.insert<attn::AttnDialect>();
    context.appendDialectRegistry(registry);
    module = mlir::parseSourceString<mlir::ModuleOp>("attn.pipeline @test {\n^bb0(" + arguments + "):\n  " + op + "\n}",
                                                     mlir::ParserConfig(&context));
    if (!module) {
      refused = "the text does not parse";
      return;
    }
    source = *module->getOps<attn::PipelineOp>().begin();
    auto built = buildPipeline(source, device);
    if (built)
      pipeline = std::move(*built);
    else
      refused = llvm::toString(built.takeError());
  }

  /// Why the device cannot compute it; empty: it can.
  std::string refused;

  /// Runs it; outputs are the pipeline's buffers that it defines.
  void run(const std::vector<JitArgument> &arguments) {
    ASSERT_EQ(refused, "");
    mlir::Block &body = source.getBody().front();
    ASSERT_EQ(arguments.size(), body.getNumArguments());
    std::vector<Halide::Buffer<>> outputs;
    uint64_t given = 0;
    for (auto [i, value] : llvm::enumerate(body.getArguments())) {
      given |= uint64_t(arguments[i].index() != 0) << i;
      if (auto *scalar = std::get_if<int64_t>(&arguments[i])) {
        pipeline->parameter(value).set_scalar(*scalar);
      } else if (pipeline->isDefined(value)) {
        outputs.push_back(std::get<Halide::Buffer<>>(arguments[i]));
      } else if (auto *buffer = std::get_if<Halide::Buffer<>>(&arguments[i])) {
        pipeline->image(value).set(*buffer);
      } else { // what the support code gives in place of nothing: one zero
        Halide::ImageParam &image = pipeline->image(value);
        Halide::Buffer<> zero(image.type(), std::vector<int>(image.dimensions(), 1));
        std::memset(zero.data(), 0, zero.size_in_bytes());
        image.set(zero);
      }
    }
    pipeline->setGiven(given);
    Halide::Pipeline compiled = pipeline->outputs();
    compiled.realize(Halide::Realization(outputs), device.target);
    for (Halide::Buffer<> &output : outputs)
      output.copy_to_host();
  }

private:
  Device device;
  mlir::MLIRContext context{mlir::MLIRContext::Threading::DISABLED};
  mlir::OwningOpRef<mlir::ModuleOp> module;
  attn::PipelineOp source;
  std::unique_ptr<Pipeline> pipeline;
};

} // namespace attnc::halide

#endif
