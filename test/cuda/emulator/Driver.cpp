//===- Driver.cpp - libcuda.so.1 for one emulated device ----------------------------------------===//
//
// Functions have the names that the current cuda.h gives them: where a driver has an old function under the plain name
// (cuMemAlloc of 32-bit sizes beside cuMemAlloc_v2), only the new one is here.
//===--------------------------------------------------------------------------------------------===//
#include "test/cuda/emulator/Driver.h"
#include "test/cuda/emulator/Machine.h"
#include "test/cuda/emulator/Memory.h"
#include "test/cuda/emulator/Modules.h"
#include "test/cuda/emulator/Streams.h"

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <mutex>
#include <set>
#include <string>
#include <time.h>

using namespace emulator;

struct Context {
  unsigned retained = 0;
};

static std::recursive_mutex lock;
static bool initialized = false;
static Context primary;
static thread_local std::vector<CUcontext> current; // a stack
static std::set<CUmodule> modules;
static std::set<CUevent> events;
static std::map<char *, uint64_t> pinned; // host memory that copies read and write late
static constexpr uint64_t deviceBytes = uint64_t(64) << 30;

int emulator::computeCapability() {
  const char *text = getenv("ATTN_EMULATOR_CC");
  return text ? atoi(text) : 90;
}

//===----------------------------------------------------------------------===//
// What every function begins with
//===----------------------------------------------------------------------===//

/// ATTN_EMULATOR_FAIL=FUNCTION[:n]: the n-th call of FUNCTION fails, 1 if not said.
static CUresult plantedFailure(const char *function) {
  static std::map<std::string, unsigned long> calls;
  const char *variable = getenv("ATTN_EMULATOR_FAIL");
  if (!variable || !*variable)
    return CUDA_SUCCESS;
  const std::string text = variable, name = text.substr(0, text.find(':'));
  if (name != std::string(function).substr(0, std::string(function).find("_v")))
    return CUDA_SUCCESS;
  const unsigned long wanted = name.size() < text.size() ? strtoul(text.c_str() + name.size() + 1, nullptr, 10) : 1;
  if (++calls[text] != wanted)
    return CUDA_SUCCESS;
  if (name == "cuMemAlloc" || name == "cuMemAllocHost" || name == "cuMemHostAlloc")
    return CUDA_ERROR_OUT_OF_MEMORY;
  if (name == "cuInit" || name == "cuDeviceGet" || name == "cuDeviceGetCount")
    return CUDA_ERROR_NO_DEVICE;
  if (name == "cuLaunchKernel" || name == "cuLaunchKernelEx")
    return CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES;
  return CUDA_ERROR_UNKNOWN;
}

enum Needs { nothing, driver, context };
static CUresult begin(const char *function, Needs needs) {
  if (CUresult planted = plantedFailure(function))
    return planted;
  if (needs >= driver && !initialized)
    return CUDA_ERROR_NOT_INITIALIZED;
  if (needs >= context && (current.empty() || !current.back()))
    return CUDA_ERROR_INVALID_CONTEXT;
  return needs >= context ? stickyError() : CUDA_SUCCESS;
}

#define BEGIN(needs)                                                                                                   \
  std::lock_guard<std::recursive_mutex> guard(lock);                                                                   \
  if (CUresult failed = begin(__func__, needs))                                                                        \
  return failed
/// A parameter that must hold.
#define EXPECT(condition)                                                                                              \
  if (!(condition))                                                                                                    \
  return CUDA_ERROR_INVALID_VALUE
#define API ATTN_EMULATOR_FUNCTION CUresult

//===----------------------------------------------------------------------===//
// Device and context
//===----------------------------------------------------------------------===//

API cuInit(unsigned flags) {
  BEGIN(nothing);
  EXPECT(flags == 0);
  initialized = true;
  return CUDA_SUCCESS;
}

API cuDriverGetVersion(int *version) {
  BEGIN(nothing);
  EXPECT(version);
  *version = 13000;
  return CUDA_SUCCESS;
}

API cuDeviceGetCount(int *count) {
  BEGIN(driver);
  EXPECT(count);
  *count = 1;
  return CUDA_SUCCESS;
}

API cuDeviceGet(CUdevice *device, int ordinal) {
  BEGIN(driver);
  EXPECT(device);
  if (ordinal != 0)
    return CUDA_ERROR_INVALID_DEVICE;
  *device = 0;
  return CUDA_SUCCESS;
}

API cuDeviceGetName(char *name, int length, CUdevice device) {
  BEGIN(driver);
  EXPECT(name && length > 0 && device == 0);
  snprintf(name, size_t(length), "emulated device, compute capability %d.%d", computeCapability() / 10,
           computeCapability() % 10);
  return CUDA_SUCCESS;
}

API cuDeviceTotalMem_v2(size_t *bytes, CUdevice device) {
  BEGIN(driver);
  EXPECT(bytes && device == 0);
  *bytes = deviceBytes;
  return CUDA_SUCCESS;
}

static bool isHopper() { return computeCapability() >= 90; }
static int sharedPerSm() { return (isHopper() ? 228 : computeCapability() == 80 ? 164 : 100) << 10; }

API cuDeviceGetAttribute(int *value, int attribute, CUdevice device) {
  BEGIN(driver);
  EXPECT(value && device == 0);
  switch (attribute) {
  case 1:
    *value = 1024;
    break; // threads per block
  case 2:
  case 3:
    *value = 1024;
    break; // block x, y
  case 4:
    *value = 64;
    break; // block z
  case 5:
    *value = 0x7fffffff;
    break; // grid x
  case 6:
  case 7:
    *value = 65535;
    break; // grid y, z
  case 8:
    *value = 48 << 10;
    break; // shared memory per block
  case 9:
    *value = 64 << 10;
    break; // constant memory
  case 10:
    *value = warpSize;
    break; // warp size
  case 12:
  case 82:
    *value = 65536;
    break; // registers per block, per multiprocessor
  case 13:
    *value = 1500000;
    break; // clock, kHz
  case 16:
    *value = isHopper() ? 132 : 108;
    break; // multiprocessors
  case 36:
    *value = 2600000;
    break; // memory clock, kHz
  case 37:
    *value = 5120;
    break; // memory bus, bits
  case 38:
    *value = 50 << 20;
    break; // second-level cache
  case 39:
    *value = 2048;
    break; // threads per multiprocessor
  case 19:
  case 31:
  case 41:
    *value = 1;
    break; // mapped host memory, concurrent kernels, unified addresses
  case 75:
    *value = computeCapability() / 10;
    break;
  case 76:
    *value = computeCapability() % 10;
    break;
  case 81:
    *value = sharedPerSm();
    break; // shared memory per multiprocessor
  case 97:
    *value = sharedPerSm() - 1024;
    break; // and per block, where asked for
  case 106:
    *value = 32;
    break; // blocks per multiprocessor
  case 111:
    *value = 1024;
    break; // shared memory that the system takes per block
  default:
    *value = 0;
    break;
  }
  return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRetain(CUcontext *result, CUdevice device) {
  BEGIN(driver);
  EXPECT(result && device == 0);
  ++primary.retained;
  *result = &primary;
  return CUDA_SUCCESS;
}

static CUresult resetContext() {
  synchronizeAll();
  resetStreams();
  return CUDA_SUCCESS;
}

API cuDevicePrimaryCtxRelease_v2(CUdevice device) {
  BEGIN(driver);
  EXPECT(device == 0);
  if (!primary.retained)
    return CUDA_ERROR_INVALID_CONTEXT;
  return --primary.retained ? CUDA_SUCCESS : resetContext();
}

API cuDevicePrimaryCtxReset_v2(CUdevice device) {
  BEGIN(driver);
  EXPECT(device == 0);
  return resetContext();
}

API cuCtxPushCurrent_v2(CUcontext pushed) {
  BEGIN(driver);
  if (pushed != &primary || !primary.retained)
    return CUDA_ERROR_INVALID_CONTEXT;
  current.push_back(pushed);
  return CUDA_SUCCESS;
}

API cuCtxPopCurrent_v2(CUcontext *popped) {
  BEGIN(driver);
  if (current.empty())
    return CUDA_ERROR_INVALID_CONTEXT;
  if (popped)
    *popped = current.back();
  current.pop_back();
  return CUDA_SUCCESS;
}

API cuCtxSetCurrent(CUcontext set) {
  BEGIN(driver);
  if (set && (set != &primary || !primary.retained))
    return CUDA_ERROR_INVALID_CONTEXT;
  if (!current.empty())
    current.pop_back();
  if (set)
    current.push_back(set);
  return CUDA_SUCCESS;
}

API cuCtxGetCurrent(CUcontext *result) {
  BEGIN(driver);
  EXPECT(result);
  *result = current.empty() ? nullptr : current.back();
  return CUDA_SUCCESS;
}

API cuCtxGetDevice(CUdevice *device) {
  BEGIN(context);
  EXPECT(device);
  *device = 0;
  return CUDA_SUCCESS;
}

API cuCtxSynchronize() {
  BEGIN(context);
  return synchronizeAll();
}

//===----------------------------------------------------------------------===//
// Modules and functions
//===----------------------------------------------------------------------===//

API cuModuleLoadDataEx(CUmodule *result, const void *image, unsigned count, int *options, void **values) {
  BEGIN(context);
  EXPECT(result && image);
  auto module = std::make_unique<Module>();
  std::string message;
  if (CUresult failed = loadModule(image, *module, message)) {
    fprintf(stderr, "attn-emulator: %s\n", message.c_str());
    size_t bytes = 0; // of the log of errors: option 6, and where it is: option 5
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == 6)
        bytes = reinterpret_cast<uintptr_t>(values[i]);
    for (unsigned i = 0; i < count; ++i)
      if (options[i] == 5 && bytes)
        snprintf(static_cast<char *>(values[i]), bytes, "%s", message.c_str());
    return failed;
  }
  modules.insert(*result = module.release());
  return CUDA_SUCCESS;
}

API cuModuleLoadData(CUmodule *result, const void *image) {
  BEGIN(context);
  return cuModuleLoadDataEx(result, image, 0, nullptr, nullptr);
}

API cuModuleUnload(CUmodule module) {
  BEGIN(context);
  if (!modules.erase(module))
    return CUDA_ERROR_INVALID_HANDLE;
  const CUresult result = synchronizeAll();
  delete module;
  return result;
}

API cuModuleGetFunction(CUfunction *result, CUmodule module, const char *name) {
  BEGIN(context);
  EXPECT(result && name);
  if (!modules.count(module))
    return CUDA_ERROR_INVALID_HANDLE;
  auto found = module->functions.find(name);
  if (found == module->functions.end())
    return CUDA_ERROR_NOT_FOUND;
  *result = &found->second;
  return CUDA_SUCCESS;
}

static bool isFunction(CUfunction function) {
  for (CUmodule module : modules)
    for (auto &[name, known] : module->functions)
      if (&known == function)
        return true;
  return false;
}

static uint64_t maxThreads(const Function &function) {
  return function.kernel->maxThreads ? function.kernel->maxThreads : 1024;
}

API cuFuncGetAttribute(int *value, int attribute, CUfunction function) {
  BEGIN(context);
  EXPECT(value);
  if (!isFunction(function))
    return CUDA_ERROR_INVALID_HANDLE;
  switch (attribute) {
  case 0:
    *value = int(maxThreads(*function));
    break; // threads per block
  case 1:
    *value = int(function->kernel->sharedBytes);
    break; // static shared memory
  case 4:
    *value = int(65536 / std::max<uint64_t>(maxThreads(*function), 256));
    break; // registers, at most
  case 5:
  case 6:
    *value = computeCapability();
    break; // version of the PTX and of the binary
  case 8:
    *value = int(function->dynamicLimit);
    break; // dynamic shared memory
  default:
    *value = 0;
    break;
  }
  return CUDA_SUCCESS;
}

API cuFuncSetAttribute(CUfunction function, int attribute, int value) {
  BEGIN(context);
  if (!isFunction(function))
    return CUDA_ERROR_INVALID_HANDLE;
  if (attribute == 8) {
    EXPECT(value >= 0 && uint64_t(value) + function->kernel->sharedBytes <= uint64_t(sharedPerSm() - 1024));
    function->dynamicLimit = uint64_t(value);
  }
  return CUDA_SUCCESS;
}

API cuOccupancyMaxActiveBlocksPerMultiprocessor(int *blocks, CUfunction function, int threads, size_t dynamicShared) {
  BEGIN(context);
  EXPECT(blocks && threads > 0);
  if (!isFunction(function))
    return CUDA_ERROR_INVALID_HANDLE;
  const uint64_t shared = function->kernel->sharedBytes + dynamicShared + 1024;
  *blocks = int(std::min<uint64_t>({32, uint64_t(2048 / threads), uint64_t(sharedPerSm()) / shared}));
  return CUDA_SUCCESS;
}

//===----------------------------------------------------------------------===//
// Memory
//===----------------------------------------------------------------------===//

static void *pointer(CUdeviceptr address) { return reinterpret_cast<void *>(address); }
static bool isDevice(CUdeviceptr address, size_t bytes) { return findAllocation(pointer(address), bytes).begin; }
static bool isPinned(const void *memory, size_t bytes) {
  auto next = pinned.upper_bound(const_cast<char *>(static_cast<const char *>(memory)));
  if (next == pinned.begin())
    return false;
  --next;
  return static_cast<const char *>(memory) + bytes <= next->first + next->second;
}

API cuMemGetInfo_v2(size_t *available, size_t *total) {
  BEGIN(context);
  EXPECT(available && total);
  *available = deviceBytes - usedDeviceBytes();
  *total = deviceBytes;
  return CUDA_SUCCESS;
}

API cuMemAlloc_v2(CUdeviceptr *result, size_t bytes) {
  BEGIN(context);
  EXPECT(result && bytes);
  if (bytes > deviceBytes - usedDeviceBytes())
    return CUDA_ERROR_OUT_OF_MEMORY;
  void *memory = allocateDevice(bytes);
  if (!memory)
    return CUDA_ERROR_OUT_OF_MEMORY;
  *result = reinterpret_cast<uintptr_t>(memory);
  return CUDA_SUCCESS;
}

API cuMemFree_v2(CUdeviceptr address) {
  BEGIN(context);
  if (!address)
    return CUDA_SUCCESS;
  const CUresult result = synchronizeAll();
  EXPECT(freeDevice(pointer(address)));
  return result;
}

API cuMemHostAlloc(void **result, size_t bytes, unsigned) {
  BEGIN(context);
  EXPECT(result && bytes);
  *result = aligned_alloc(4096, (bytes + 4095) / 4096 * 4096);
  if (!*result)
    return CUDA_ERROR_OUT_OF_MEMORY;
  pinned[static_cast<char *>(*result)] = bytes;
  return CUDA_SUCCESS;
}

API cuMemAllocHost_v2(void **result, size_t bytes) {
  BEGIN(context);
  return cuMemHostAlloc(result, bytes, 0);
}

API cuMemFreeHost(void *memory) {
  BEGIN(context);
  const CUresult result = synchronizeAll();
  EXPECT(pinned.erase(static_cast<char *>(memory)));
  free(memory);
  return result;
}

API cuMemHostRegister_v2(void *memory, size_t bytes, unsigned) {
  BEGIN(context);
  EXPECT(memory && bytes && !isPinned(memory, 1));
  pinned[static_cast<char *>(memory)] = bytes;
  return CUDA_SUCCESS;
}

API cuMemHostUnregister(void *memory) {
  BEGIN(context);
  const CUresult result = synchronizeAll();
  EXPECT(pinned.erase(static_cast<char *>(memory)));
  return result;
}

#define STREAM(name, handle)                                                                                           \
  Stream *name = findStream(handle);                                                                                   \
  if (!name)                                                                                                           \
  return CUDA_ERROR_INVALID_HANDLE

/// Memory that is not pinned is copied before the call returns, as the driver's staging does.
API cuMemcpyHtoDAsync_v2(CUdeviceptr to, const void *from, size_t bytes, CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(isDevice(to, bytes) && (from || !bytes));
  if (isPinned(from, bytes) || stream->capture) {
    enqueue(*stream, [=] {
      memcpy(pointer(to), from, bytes);
      return CUDA_SUCCESS;
    });
    return CUDA_SUCCESS;
  }
  auto *begin = static_cast<const char *>(from);
  enqueue(*stream, [to, staged = std::make_shared<std::vector<char>>(begin, begin + bytes)] {
    memcpy(pointer(to), staged->data(), staged->size());
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}

API cuMemcpyDtoHAsync_v2(void *to, CUdeviceptr from, size_t bytes, CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(isDevice(from, bytes) && (to || !bytes));
  enqueue(*stream, [=] {
    memcpy(to, pointer(from), bytes);
    return CUDA_SUCCESS;
  });
  return isPinned(to, bytes) || stream->capture ? CUDA_SUCCESS : synchronize(*stream);
}

API cuMemcpyDtoDAsync_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(isDevice(to, bytes) && isDevice(from, bytes));
  enqueue(*stream, [=] {
    memmove(pointer(to), pointer(from), bytes);
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}

/// Between any two places: what lies in device memory is that, everything else the host's.
API cuMemcpyAsync(CUdeviceptr to, CUdeviceptr from, size_t bytes, CUstream handle) {
  BEGIN(context);
  const bool toDevice = isDevice(to, bytes), fromDevice = isDevice(from, bytes);
  if (toDevice && fromDevice)
    return cuMemcpyDtoDAsync_v2(to, from, bytes, handle);
  if (toDevice)
    return cuMemcpyHtoDAsync_v2(to, pointer(from), bytes, handle);
  return cuMemcpyDtoHAsync_v2(pointer(to), from, bytes, handle);
}

API cuMemcpyHtoD_v2(CUdeviceptr to, const void *from, size_t bytes) {
  BEGIN(context);
  const CUresult result = cuMemcpyHtoDAsync_v2(to, from, bytes, nullptr);
  return result ? result : synchronize(*findStream(nullptr));
}

API cuMemcpyDtoH_v2(void *to, CUdeviceptr from, size_t bytes) {
  BEGIN(context);
  const CUresult result = cuMemcpyDtoHAsync_v2(to, from, bytes, nullptr);
  return result ? result : synchronize(*findStream(nullptr));
}

API cuMemcpyDtoD_v2(CUdeviceptr to, CUdeviceptr from, size_t bytes) {
  BEGIN(context);
  return cuMemcpyDtoDAsync_v2(to, from, bytes, nullptr);
}

template <class T> static CUresult fillAsync(CUdeviceptr to, T value, size_t count, CUstream handle) {
  STREAM(stream, handle);
  EXPECT(isDevice(to, count * sizeof(T)) && to % sizeof(T) == 0);
  enqueue(*stream, [=] {
    std::fill_n(static_cast<T *>(pointer(to)), count, value);
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}

API cuMemsetD8Async(CUdeviceptr to, unsigned char value, size_t count, CUstream stream) {
  BEGIN(context);
  return fillAsync(to, value, count, stream);
}
API cuMemsetD16Async(CUdeviceptr to, unsigned short value, size_t count, CUstream stream) {
  BEGIN(context);
  return fillAsync(to, value, count, stream);
}
API cuMemsetD32Async(CUdeviceptr to, unsigned value, size_t count, CUstream stream) {
  BEGIN(context);
  return fillAsync(to, value, count, stream);
}
API cuMemsetD8_v2(CUdeviceptr to, unsigned char value, size_t count) {
  BEGIN(context);
  return fillAsync(to, value, count, nullptr);
}
API cuMemsetD32_v2(CUdeviceptr to, unsigned value, size_t count) {
  BEGIN(context);
  return fillAsync(to, value, count, nullptr);
}

/// Attributes: 1 context, 2 kind of memory (1 host, 2 device), 3 device pointer, 4 host pointer, 8 managed, 9 device.
API cuPointerGetAttribute(void *value, int attribute, CUdeviceptr address) {
  BEGIN(driver);
  EXPECT(value);
  const bool onDevice = isDevice(address, 1);
  if (!onDevice && !isPinned(pointer(address), 1))
    return CUDA_ERROR_INVALID_VALUE; // what the driver knows nothing of
  switch (attribute) {
  case 1:
    *static_cast<CUcontext *>(value) = &primary;
    return CUDA_SUCCESS;
  case 2:
    *static_cast<unsigned *>(value) = onDevice ? 2 : 1;
    return CUDA_SUCCESS;
  case 3:
    *static_cast<CUdeviceptr *>(value) = address;
    return CUDA_SUCCESS;
  case 4:
    if (onDevice)
      return CUDA_ERROR_INVALID_VALUE;
    *static_cast<void **>(value) = pointer(address);
    return CUDA_SUCCESS;
  case 8:
    *static_cast<int *>(value) = 0;
    return CUDA_SUCCESS;
  case 9:
    *static_cast<int *>(value) = 0;
    return CUDA_SUCCESS;
  default:
    return CUDA_ERROR_NOT_SUPPORTED;
  }
}

/// As above, but what is not known is zero.
API cuPointerGetAttributes(unsigned count, int *attributes, void **values, CUdeviceptr address) {
  BEGIN(driver);
  EXPECT(attributes && values);
  for (unsigned i = 0; i < count; ++i) {
    const bool isPointer = attributes[i] == 1 || attributes[i] == 3 || attributes[i] == 4;
    if (cuPointerGetAttribute(values[i], attributes[i], address))
      memset(values[i], 0, isPointer ? 8 : 4);
  }
  return CUDA_SUCCESS;
}

//===----------------------------------------------------------------------===//
// Launches
//===----------------------------------------------------------------------===//

namespace {
/// A launch with copies of its arguments.
struct Prepared {
  Launch launch;
  std::vector<std::unique_ptr<char, decltype(&free)>> memory;
  std::vector<void *> parameters;
};
} // namespace

API cuLaunchKernel(CUfunction function, unsigned gridX, unsigned gridY, unsigned gridZ, unsigned blockX,
                   unsigned blockY, unsigned blockZ, unsigned sharedBytes, CUstream handle, void **parameters,
                   void **extra) {
  BEGIN(context);
  STREAM(stream, handle);
  if (!isFunction(function))
    return CUDA_ERROR_INVALID_HANDLE;
  const Kernel &kernel = *function->kernel;
  const uint64_t threads = uint64_t(blockX) * blockY * blockZ;
  EXPECT(gridX && gridY && gridZ && gridX <= 0x7fffffff && gridY <= 65535 && gridZ <= 65535);
  EXPECT(threads && blockX <= 1024 && blockY <= 1024 && blockZ <= 64 && threads <= maxThreads(*function));
  const uint64_t limit =
      function->dynamicLimit ? function->dynamicLimit : (48 << 10) - std::min<uint64_t>(48 << 10, kernel.sharedBytes);
  EXPECT(sharedBytes <= limit && !extra && (parameters || !kernel.parameterCount));

  auto prepared = std::make_shared<Prepared>();
  prepared->launch = {&kernel, {gridX, gridY, gridZ}, {blockX, blockY, blockZ}, sharedBytes, nullptr};
  for (uint64_t i = 0; i < kernel.parameterCount; ++i) {
    EXPECT(parameters[i]);
    const uint64_t bytes = kernel.parameterBytes[i];
    auto *copy = static_cast<char *>(aligned_alloc(64, (bytes + 63) / 64 * 64));
    memcpy(copy, parameters[i], bytes);
    prepared->memory.emplace_back(copy, &free);
    prepared->parameters.push_back(copy);
  }
  prepared->launch.parameters = prepared->parameters.data();
  enqueue(*stream, [prepared] { return CUresult(run(prepared->launch)); });
  return CUDA_SUCCESS;
}

API cuLaunchKernelEx(const CUlaunchConfig *config, CUfunction function, void **parameters, void **extra) {
  BEGIN(context);
  EXPECT(config);
  for (uint32_t i = 0; i < config->attributeCount; ++i) {
    const CUlaunchAttribute &attribute = config->attributes[i];
    const uint32_t *cluster = attribute.value.cluster;
    if (attribute.id == 4 && cluster[0] * cluster[1] * cluster[2] != 1) // clusters of one block only
      return CUDA_ERROR_NOT_SUPPORTED;
  }
  return cuLaunchKernel(function, config->gridX, config->gridY, config->gridZ, config->blockX, config->blockY,
                        config->blockZ, config->sharedBytes, config->stream, parameters, extra);
}

//===----------------------------------------------------------------------===//
// Streams, events, graphs
//===----------------------------------------------------------------------===//

API cuStreamCreate(CUstream *result, unsigned flags) {
  BEGIN(context);
  EXPECT(result && flags <= 1);
  *result = createStream(/*blocking=*/!(flags & 1));
  return CUDA_SUCCESS;
}

API cuStreamCreateWithPriority(CUstream *result, unsigned flags, int) {
  BEGIN(context);
  return cuStreamCreate(result, flags);
}

API cuStreamDestroy_v2(CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(reinterpret_cast<uintptr_t>(handle) > 2);
  return destroyStream(stream);
}

API cuStreamSynchronize(CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  return stream->capture ? CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED : synchronize(*stream);
}

API cuStreamQuery(CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  const bool more = progress(*stream);
  return stickyError() ? stickyError() : more ? CUDA_ERROR_NOT_READY : CUDA_SUCCESS;
}

API cuEventCreate(CUevent *result, unsigned) {
  BEGIN(context);
  EXPECT(result);
  events.insert(*result = new Event);
  return CUDA_SUCCESS;
}

API cuEventDestroy_v2(CUevent event) {
  BEGIN(context);
  if (!events.erase(event))
    return CUDA_ERROR_INVALID_HANDLE;
  delete event;
  return CUDA_SUCCESS;
}

static double milliseconds() {
  timespec now;
  clock_gettime(CLOCK_MONOTONIC, &now);
  return double(now.tv_sec) * 1e3 + double(now.tv_nsec) * 1e-6;
}

API cuEventRecord(CUevent event, CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  if (!events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  auto marker = std::make_shared<Marker>();
  marker->stream = stream;
  event->marker = marker;
  enqueue(*stream, [marker, event] {
    marker->reached = true;
    if (events.count(event) && event->marker == marker)
      event->time = milliseconds();
    return CUDA_SUCCESS;
  });
  return CUDA_SUCCESS;
}

API cuStreamWaitEvent(CUstream handle, CUevent event, unsigned) {
  BEGIN(context);
  STREAM(stream, handle);
  if (!events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  if (auto marker = event->marker)
    enqueue(*stream, [marker] { return reach(marker); });
  return CUDA_SUCCESS;
}

API cuEventSynchronize(CUevent event) {
  BEGIN(context);
  if (!events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  return event->marker ? reach(event->marker) : CUDA_SUCCESS;
}

API cuEventQuery(CUevent event) {
  BEGIN(context);
  if (!events.count(event))
    return CUDA_ERROR_INVALID_HANDLE;
  if (!event->marker || event->marker->reached)
    return CUDA_SUCCESS;
  progress(*event->marker->stream);
  return stickyError() ? stickyError() : event->marker->reached ? CUDA_SUCCESS : CUDA_ERROR_NOT_READY;
}

API cuEventElapsedTime(float *result, CUevent from, CUevent to) {
  BEGIN(context);
  EXPECT(result);
  if (!events.count(from) || !events.count(to) || !from->marker || !to->marker)
    return CUDA_ERROR_INVALID_HANDLE;
  if (!from->marker->reached || !to->marker->reached)
    return CUDA_ERROR_NOT_READY;
  *result = float(to->time - from->time);
  return CUDA_SUCCESS;
}

API cuStreamBeginCapture_v2(CUstream handle, int mode) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(mode >= 0 && mode <= 2);
  if (reinterpret_cast<uintptr_t>(handle) <= 1 || stream->capture)
    return CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED;
  stream->capture = std::make_unique<Graph>();
  return CUDA_SUCCESS;
}

API cuStreamEndCapture(CUstream handle, CUgraph *graph) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(graph);
  if (!stream->capture)
    return CUDA_ERROR_STREAM_CAPTURE_INVALIDATED;
  *graph = stream->capture.release();
  return CUDA_SUCCESS;
}

API cuStreamIsCapturing(CUstream handle, int *status) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(status);
  *status = stream->capture ? 1 : 0;
  return CUDA_SUCCESS;
}

API cuGraphInstantiateWithFlags(CUgraphExec *result, CUgraph graph, unsigned long long) {
  BEGIN(context);
  EXPECT(result && graph);
  *result = new GraphExec{graph->works};
  return CUDA_SUCCESS;
}

API cuGraphLaunch(CUgraphExec graph, CUstream handle) {
  BEGIN(context);
  STREAM(stream, handle);
  EXPECT(graph);
  for (const Work &work : graph->works)
    enqueue(*stream, work);
  return CUDA_SUCCESS;
}

API cuGraphExecDestroy(CUgraphExec graph) {
  BEGIN(context);
  EXPECT(graph);
  delete graph;
  return CUDA_SUCCESS;
}

API cuGraphDestroy(CUgraph graph) {
  BEGIN(context);
  EXPECT(graph);
  delete graph;
  return CUDA_SUCCESS;
}

//===----------------------------------------------------------------------===//
// Tensor maps
//===----------------------------------------------------------------------===//

/// Constraints as in the documentation of cuTensorMapEncodeTiled.
API cuTensorMapEncodeTiled(void *result, int type, uint32_t rank, void *address, const uint64_t *dims,
                           const uint64_t *strides, const uint32_t *box, const uint32_t *elementStrides, int interleave,
                           int swizzle, int promotion, int fill) {
  BEGIN(driver);
  static constexpr uint8_t elementBytes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  if (interleave)
    return CUDA_ERROR_NOT_SUPPORTED;
  EXPECT(result && reinterpret_cast<uintptr_t>(result) % 64 == 0 && address && dims && box && elementStrides);
  EXPECT(type >= 0 && type < int(sizeof elementBytes) && rank >= 1 && rank <= 5 && (strides || rank == 1));
  EXPECT(reinterpret_cast<uintptr_t>(address) % 16 == 0 && swizzle >= 0 && swizzle <= 3);
  EXPECT(promotion >= 0 && promotion <= 3 && fill >= 0 && fill <= 1);
  TensorMap map = {};
  map.magic = tensorMapMagic;
  map.address = reinterpret_cast<uintptr_t>(address);
  map.rank = uint8_t(rank);
  map.elementBytes = elementBytes[type];
  map.swizzle = uint8_t(swizzle);
  map.fillsNan = uint8_t(fill);
  for (uint32_t i = 0; i < rank; ++i) {
    EXPECT(dims[i] >= 1 && dims[i] <= uint64_t(1) << 32 && box[i] >= 1 && box[i] <= 256);
    EXPECT(elementStrides[i] == 1); // others are not emulated
    if (i)
      EXPECT(strides[i - 1] % 16 == 0 && strides[i - 1] < uint64_t(1) << 40);
    map.dims[i] = dims[i];
    map.box[i] = uint16_t(box[i]);
    map.elementStrides[i] = uint8_t(elementStrides[i]);
    if (i)
      map.strides[i - 1] = strides[i - 1];
  }
  const uint32_t rowBytes = box[0] * map.elementBytes;
  EXPECT(rowBytes % 16 == 0 && (!swizzle || rowBytes <= 16u << swizzle));
  memcpy(result, &map, sizeof map);
  return CUDA_SUCCESS;
}

//===----------------------------------------------------------------------===//
// Names
//===----------------------------------------------------------------------===//

static const struct {
  CUresult result;
  const char *name, *text;
} errors[] = {
    {CUDA_SUCCESS, "CUDA_SUCCESS", "no error"},
    {CUDA_ERROR_INVALID_VALUE, "CUDA_ERROR_INVALID_VALUE", "invalid argument"},
    {CUDA_ERROR_OUT_OF_MEMORY, "CUDA_ERROR_OUT_OF_MEMORY", "out of memory"},
    {CUDA_ERROR_NOT_INITIALIZED, "CUDA_ERROR_NOT_INITIALIZED", "initialization error"},
    {CUDA_ERROR_NO_DEVICE, "CUDA_ERROR_NO_DEVICE", "no CUDA-capable device is detected"},
    {CUDA_ERROR_INVALID_DEVICE, "CUDA_ERROR_INVALID_DEVICE", "invalid device ordinal"},
    {CUDA_ERROR_INVALID_IMAGE, "CUDA_ERROR_INVALID_IMAGE", "device kernel image is invalid"},
    {CUDA_ERROR_INVALID_CONTEXT, "CUDA_ERROR_INVALID_CONTEXT", "invalid device context"},
    {CUDA_ERROR_NO_BINARY_FOR_GPU, "CUDA_ERROR_NO_BINARY_FOR_GPU",
     "no kernel image is available for execution on the device"},
    {CUDA_ERROR_INVALID_PTX, "CUDA_ERROR_INVALID_PTX", "a PTX JIT compilation failed"},
    {CUDA_ERROR_INVALID_HANDLE, "CUDA_ERROR_INVALID_HANDLE", "invalid resource handle"},
    {CUDA_ERROR_NOT_FOUND, "CUDA_ERROR_NOT_FOUND", "named symbol not found"},
    {CUDA_ERROR_NOT_READY, "CUDA_ERROR_NOT_READY", "device not ready"},
    {CUDA_ERROR_ILLEGAL_ADDRESS, "CUDA_ERROR_ILLEGAL_ADDRESS", "an illegal memory access was encountered"},
    {CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES, "CUDA_ERROR_LAUNCH_OUT_OF_RESOURCES",
     "too many resources requested for launch"},
    {CUDA_ERROR_LAUNCH_TIMEOUT, "CUDA_ERROR_LAUNCH_TIMEOUT", "the launch timed out and was terminated"},
    {CUDA_ERROR_MISALIGNED_ADDRESS, "CUDA_ERROR_MISALIGNED_ADDRESS", "misaligned address"},
    {CUDA_ERROR_LAUNCH_FAILED, "CUDA_ERROR_LAUNCH_FAILED", "unspecified launch failure"},
    {CUDA_ERROR_NOT_SUPPORTED, "CUDA_ERROR_NOT_SUPPORTED", "operation not supported"},
    {CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED, "CUDA_ERROR_STREAM_CAPTURE_UNSUPPORTED",
     "operation not permitted when stream is capturing"},
    {CUDA_ERROR_STREAM_CAPTURE_INVALIDATED, "CUDA_ERROR_STREAM_CAPTURE_INVALIDATED",
     "operation failed due to a previous error during capture"},
    {CUDA_ERROR_UNKNOWN, "CUDA_ERROR_UNKNOWN", "unknown error"},
};

API cuGetErrorName(CUresult result, const char **name) {
  for (auto &error : errors)
    if (error.result == result)
      return *name = error.name, CUDA_SUCCESS;
  *name = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

API cuGetErrorString(CUresult result, const char **text) {
  for (auto &error : errors)
    if (error.result == result)
      return *text = error.text, CUDA_SUCCESS;
  *text = nullptr;
  return CUDA_ERROR_INVALID_VALUE;
}

/// By the name without version, as the newest.
API cuGetProcAddress_v2(const char *name, void **function, int version, uint64_t flags, int *status) {
  BEGIN(nothing);
  EXPECT(name && function);
  static void *self = [] {
    Dl_info info;
    return dladdr(reinterpret_cast<void *>(&cuGetErrorName), &info) ? dlopen(info.dli_fname, RTLD_NOW | RTLD_NOLOAD)
                                                                    : nullptr;
  }();
  *function = nullptr;
  for (const char *suffix : {"_v2", ""})
    if (!*function && self)
      *function = dlsym(self, (std::string(name) + suffix).c_str());
  if (status)
    *status = *function ? 0 : 1; // found, or not found
  return *function ? CUDA_SUCCESS : CUDA_ERROR_NOT_FOUND;
}
