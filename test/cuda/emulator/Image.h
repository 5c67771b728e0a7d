//===- Image.h - Kernels as attn-emulate links them ---------------------------------------------===//
#ifndef ATTN_TEST_CUDA_IMAGE_H
#define ATTN_TEST_CUDA_IMAGE_H

#include <cstdint>

namespace emulator {

/// One kernel of an image. The code that attn-emulate generates fills it in: every member has 8 bytes.
struct Kernel {
  const char *name;
  void (*run)(void *const *parameters); ///< what one thread executes
  const uint64_t *parameterBytes;
  uint64_t parameterCount;
  uint64_t maxThreads;  ///< of a block (nvvm.maxntid); 0: as many as the device has
  uint64_t sharedBytes; ///< static shared memory
};

/// The only symbol that an image exports: attn_emulator_image.
struct Image {
  uint64_t version;
  const char *chip; ///< "sm_90a"; empty: the kernels serve any
  uint64_t kernelCount;
  const Kernel *kernels;
};
constexpr uint64_t imageVersion = 1;

} // namespace emulator

#endif // ATTN_TEST_CUDA_IMAGE_H
