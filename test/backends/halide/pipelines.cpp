// Writes small pipelines and what a model file needs around them: `pipelines TARGET PREFIX`, to PREFIX-NAME.o for each
// and to PREFIX-code.bc. One object each: linked by Halide, pipelines on a device would take each other's kernels.
#include "backends/halide/Runtime.h"

#include <Halide.h>

#include <fstream>
#include <iostream>
#include <iterator>

using namespace Halide;

static Target target;
static std::string prefix;
static std::vector<std::string> objects;

static std::string read(const std::string &path) {
  std::ifstream stream(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(stream), {}};
}

/// NAME_argv(user_context, arguments…, outputs…).
static void add(Func f, const std::string &name, const std::vector<Argument> &arguments) {
  std::vector<Argument> all = arguments;
  all.push_back(Param<uint64_t>("given")); // see Launch.h
  std::string path = prefix + "-" + name + ".o";
  f.compile_to_module(all, name, target).compile({{OutputFileType::object, path}});
  objects.push_back(read(path));
}

static void build() {
  bool gpu = target.has_gpu_feature();
  Var x("x"), y("y"), xi("xi");
  { // out[y][x] = in[y][x]·scale + shift: strides of any rows, an input and two scalars
    ImageParam in(Float(32), 2, "in");
    Param<float> scale("scale");
    Param<int64_t> shift("shift");
    Func f("affine");
    f(x, y) = in(x, y) * scale + cast<float>(shift);
    if (gpu)
      f.gpu_tile(x, xi, 16, TailStrategy::GuardWithIf);
    else
      f.parallel(y);
    add(f, "affine", {in, scale, shift});
  }
  if (!gpu) { // two parallel loops inside each other, a buffer in each; fails where an element is negative
    ImageParam in(Float(32), 2, "in");
    Func prefix("prefix"), square("square"), f("nested");
    RDom r(0, in.dim(0).extent());
    prefix(x, y) = 0.0f;
    prefix(r, y) = prefix(max(r - 1, 0), y) + in(r, y);
    square(x, y) = prefix(x, y) * prefix(x, y);
    f(x, y) = require(in(x, y) >= 0.0f, square(x, y), "expected no negative element, got", in(x, y));
    f.parallel(y);
    square.compute_at(f, y).parallel(x);
    prefix.compute_at(f, y);
    add(f, "nested", {in});
  }
  { // 16-bit numbers and truth values; an input that may be left out
    ImageParam bits(UInt(16), 2, "bits"), mask(UInt(8), 1, "mask");
    mask.dim(0).set_stride(Expr());
    Func f("halves");
    f(x, y) = select(mask(x) != 0, bits(x, y), cast<uint16_t>(0));
    if (gpu)
      f.gpu_tile(x, xi, 16, TailStrategy::GuardWithIf);
    add(f, "halves", {bits, mask});
  }
}

int main(int argc, char **argv) {
  if (argc != 3)
    return 2;
  try {
    target = Target(argv[1]).with_feature(Target::NoRuntime).with_feature(Target::UserContext);
    prefix = argv[2];
    build();
    std::vector<llvm::StringRef> pipelines(objects.begin(), objects.end());
    auto code = attnc::halide::deviceCode(target, pipelines);
    if (!code) {
      std::cerr << llvm::toString(code.takeError()) << "\n";
      return 1;
    }
    std::ofstream(prefix + "-code.bc", std::ios::binary).write(code->data(), code->size());
  } catch (const Error &error) {
    std::cerr << error.what() << "\n";
    return 1;
  }
  return 0;
}
