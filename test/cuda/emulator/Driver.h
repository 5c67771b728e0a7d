//===- Driver.h - What of cuda.h is emulated ----------------------------------------------------===//
//
// Names, numbers and layouts are those of the CUDA driver API.
//===--------------------------------------------------------------------------------------------===//
#ifndef ATTN_TEST_CUDA_DRIVER_H
#define ATTN_TEST_CUDA_DRIVER_H

#include <cstddef>
#include <cstdint>

enum CUresult : int {
  CUDA_SUCCESS = 0,
  CUDA_ERROR_INVALID_VALUE = 1,
  CUDA_ERROR_OUT_OF_MEMORY = 2,
  CUDA_ERROR_NOT_INITIALIZED = 3,
  CUDA_ERROR_NO_DEVICE = 100,
  CUDA_ERROR_INVALID_DEVICE = 101,
  CUDA_ERROR_INVALID_IMAGE = 200,
  CUDA_ERROR_INVALID_CONTEXT = 201,
  CUDA_ERROR_NO_BINARY_FOR_GPU = 209,
  CUDA_ERROR_INVALID_PTX = 218,
  CUDA_ERROR_INVALID_HANDLE = 400,
  CUDA_ERROR_NOT_FOUND = 500,
  CUDA_ERROR_NOT_READY = 600,
  CUDA_ERROR_ILLEGAL_ADDRESS = 700,
  CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES = 701,
  CUDA_ERROR_LAUNCH_TIMEOUT = 702,
  CUDA_ERROR_MISALIGNED_ADDRESS = 716,
  CUDA_ERROR_LAUNCH_FAILED = 719,
  CUDA_ERROR_NOT_PERMITTED = 800,
  CUDA_ERROR_NOT_SUPPORTED = 801,
  CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED = 900,
  CUDA_ERROR_STREAM_CAPTURE_INVALIDATED = 901,
  CUDA_ERROR_UNKNOWN = 999,
};

using CUdevice = int;
using CUdeviceptr = uint64_t;
using CUcontext = struct Context *;
using CUmodule = struct Module *;
using CUfunction = struct Function *;
using CUstream = struct Stream *;
using CUevent = struct Event *;
using CUgraph = struct Graph *;
using CUgraphExec = struct GraphExec *;

struct CUlaunchAttribute {
  int id;
  int padding;
  union {
    char bytes[64];
    uint32_t cluster[3];
  } value;
};

struct CUlaunchConfig {
  uint32_t gridX, gridY, gridZ, blockX, blockY, blockZ, sharedBytes;
  CUstream stream;
  CUlaunchAttribute *attributes;
  uint32_t attributeCount;
};

/// CUtensorMap is 128 opaque bytes; these are the emulator's.
struct alignas(64) TensorMap {
  uint64_t magic; ///< tensorMapMagic
  CUdeviceptr address;
  uint64_t dims[5];    ///< in elements, innermost first
  uint64_t strides[4]; ///< in bytes, of dimensions 1 …
  uint16_t box[5];
  uint8_t elementStrides[5];
  uint8_t rank, elementBytes;
  uint8_t swizzle;  ///< 0 none, 1: 32 bytes, 2: 64 bytes, 3: 128 bytes
  uint8_t fillsNan; ///< what lies outside reads as NaN instead of zero
};
static_assert(sizeof(TensorMap) == 128, "CUtensorMap has 128 bytes");
constexpr uint64_t tensorMapMagic = 0x70616d726f736e74;

namespace emulator {

/// Compute capability times ten: ATTN_EMULATOR_CC.
int computeCapability();

} // namespace emulator

#endif // ATTN_TEST_CUDA_DRIVER_H
