//===- Modules.h - Kernels by their PTX's names -------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_MODULES_H
#define ATTN_TEST_CUDA_MODULES_H

#include "test/cuda/emulator/Driver.h"
#include "test/cuda/emulator/Image.h"

#include <map>
#include <string>

struct Function {
  const emulator::Kernel *kernel = nullptr;
  uint64_t dynamicLimit = 0; ///< of dynamic shared memory; 0: the default
};

struct Module {
  std::map<std::string, Function> functions;
};

namespace emulator {

/// From PTX text, whose kernels are looked up in the images of ATTN_EMULATOR_IMAGES, or an image's bytes. On failure
/// `message` says why.
CUresult loadModule(const void *data, Module &module, std::string &message);

} // namespace emulator

#endif // ATTN_TEST_CUDA_MODULES_H
