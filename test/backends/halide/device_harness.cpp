#include "device_test.h"

#include <cstdlib>
#include <cstring>
#include <dlfcn.h>
#include <random>

Process process;

//===----------------------------------------------------------------------===//
// The process: the linker sends these calls here (--wrap)
//===----------------------------------------------------------------------===//

#if __has_feature(address_sanitizer) // nothing is wrapped
#define __real_malloc malloc
#define __real_dlopen dlopen
#define __real_dlsym dlsym
constexpr bool isWrapped = false;
#else
constexpr bool isWrapped = true;
#endif

extern "C" {
void *__real_malloc(size_t);
void *__real_dlopen(const char *, int);
void *__real_dlsym(void *, const char *);

void *__wrap_malloc(size_t bytes) { return process.mallocs++ == process.failMalloc ? nullptr : __real_malloc(bytes); }
void *__wrap_dlopen(const char *name, int flags) { return process.noDriver ? nullptr : __real_dlopen(name, flags); }
}

static bool fails() { return process.failAfter-- <= 0 && (process.calledFailing = true); }

/// Functions that return a status, with at most twelve arguments that are integers or pointers. OpenCL and Vulkan:
/// negative.
using Words = int (*)(void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *, void *);
static Words realStatus;
static int failingStatus(void *a, void *b, void *c, void *d, void *e, void *f, void *g, void *h, void *i, void *j,
                         void *k, void *l) {
  bool failing = fails(), waits = process.failing.find("Wait") != std::string::npos || process.failing == "clFinish";
  int status =
      failing && !waits ? 0 : realStatus(a, b, c, d, e, f, g, h, i, j, k, l); // a device that goes on is no test
  return failing ? -6 : status; // out of host memory, not present: negative in both
}
/// clCreate…: the result is a handle and the status the argument after `n` others.
template <int n> static void *failingHandle(void *a, void *b, void *c, void *d, void *e, void *f, void *g) {
  void *all[] = {a, b, c, d, e, f, g};
  if (fails()) {
    *static_cast<int *>(all[n]) = -6;
    return nullptr;
  }
  process.buffers += n == 4 && process.failing == "clCreateBuffer";
  return reinterpret_cast<void *(*)(void *, void *, void *, void *, void *, void *, void *)>(
      reinterpret_cast<void *>(realStatus))(a, b, c, d, e, f, g);
}

static void *(*realCreateBuffer)(void *, uint64_t, size_t, void *, int *);
static int (*realRelease)(void *);
static void *countingCreateBuffer(void *context, uint64_t flags, size_t bytes, void *data, int *status) {
  void *buffer = realCreateBuffer(context, flags, bytes, data, status);
  process.buffers += buffer != nullptr;
  return buffer;
}
static int (*realRetain)(void *);
static int countingRetain(void *buffer) {
  ++process.buffers;
  return realRetain(buffer);
}
static int countingRelease(void *buffer) {
  --process.buffers;
  return realRelease(buffer);
}

static void *(*realInstanceProc)(void *, const char *), *(*realDeviceProc)(void *, const char *);

static void *wrapped(const char *name, void *real) {
  if (!real || process.missing == name)
    return nullptr;
  if (process.failing == name) {
    realStatus = reinterpret_cast<Words>(real);
    struct Handle {
      const char *name;
      void *(*stub)(void *, void *, void *, void *, void *, void *, void *);
    };
    for (Handle handle :
         {Handle{"clCreateContext", failingHandle<5>}, Handle{"clCreateCommandQueue", failingHandle<3>},
          Handle{"clCreateBuffer", failingHandle<4>}, Handle{"clCreateProgramWithSource", failingHandle<4>},
          Handle{"clCreateKernel", failingHandle<2>}})
      if (process.failing == handle.name)
        return reinterpret_cast<void *>(handle.stub);
    return reinterpret_cast<void *>(failingStatus);
  }
  if (!std::strcmp(name, "clCreateBuffer")) {
    realCreateBuffer = reinterpret_cast<decltype(realCreateBuffer)>(real);
    return reinterpret_cast<void *>(countingCreateBuffer);
  }
  if (!std::strcmp(name, "clRetainMemObject")) {
    realRetain = reinterpret_cast<decltype(realRetain)>(real);
    return reinterpret_cast<void *>(countingRetain);
  }
  if (!std::strcmp(name, "clReleaseMemObject")) {
    realRelease = reinterpret_cast<decltype(realRelease)>(real);
    return reinterpret_cast<void *>(countingRelease);
  }
  // Vulkan hands its functions out itself.
  if (!std::strcmp(name, "vkGetInstanceProcAddr")) {
    realInstanceProc = reinterpret_cast<decltype(realInstanceProc)>(real);
    return reinterpret_cast<void *>(
        +[](void *instance, const char *function) { return wrapped(function, realInstanceProc(instance, function)); });
  }
  if (!std::strcmp(name, "vkGetDeviceProcAddr")) {
    realDeviceProc = reinterpret_cast<decltype(realDeviceProc)>(real);
    return reinterpret_cast<void *>(
        +[](void *device, const char *function) { return wrapped(function, realDeviceProc(device, function)); });
  }
  return real;
}

extern "C" void *__wrap_dlsym(void *library, const char *name) {
  return library ? wrapped(name, __real_dlsym(library, name)) : nullptr; // not from what is loaded already
}

//===----------------------------------------------------------------------===//
// The model
//===----------------------------------------------------------------------===//

DeviceTest::DeviceTest() {
  process = Process();
  host.size = sizeof host;
  host.workers = 1;
  host.ctx = this;
  host.op = [](void *ctx, const attn_op_info *op, attn_span_phase phase) {
    std::string name = op->name;
    if (phase == ATTN_SPAN_BEGIN && name.substr(0, 4) == "copy")
      static_cast<DeviceTest *>(ctx)->copies +=
          (name == "copy_to_device" ? "<" : ">") + std::to_string(op->bytes) + " ";
  };
  error.size = sizeof error;
}

DeviceTest::~DeviceTest() { close(); }

void DeviceTest::SetUp() {
  if (!isWrapped)
    GTEST_SKIP() << "calls of the driver are not counted in a sanitized program";
  static const std::string missing = [this] {
    model = fake_open(&host, {kDLCPU, 0}, nullptr, 0, &error);
    std::string reason = model ? "" : text();
    close();
    return reason;
  }();
  if (missing.find("could not load the driver") != std::string::npos)
    GTEST_SKIP() << missing;
  process = Process();
  error = {};
  error.size = sizeof error;
  copies.clear();
}

void DeviceTest::open(const void *weights, uint64_t weightsBytes) {
  model = fake_open(&host, {kDLCPU, 0}, weights, weightsBytes, &error);
  ASSERT_TRUE(model) << text();
}

void DeviceTest::close() {
  if (model)
    fake_close(model);
  model = nullptr;
}

const DLTensor *DeviceTest::tensor(DLDataType type, void *data, std::vector<int64_t> shape,
                                   std::vector<int64_t> strides) {
  shapes.push_back(std::move(shape));
  int64_t *sizes = shapes.back().data();
  int32_t rank = int32_t(shapes.back().size());
  if (strides.empty()) {
    strides.resize(rank);
    int64_t step = 1;
    for (int32_t d = rank; d-- > 0; step *= sizes[d])
      strides[d] = step;
  }
  shapes.push_back(std::move(strides));
  tensors.push_back({data, {kDLCPU, 0}, rank, type, sizes, shapes.back().data(), 0});
  return &tensors.back();
}

fake_op DeviceTest::affine(const DLTensor *in, float scale, int64_t shift, const DLTensor *out) {
  scales.push_back(scale);
  shifts.push_back(shift);
  operands.push_back({*in, *tensor(kF32, &scales.back(), {}), *tensor(kI64, &shifts.back(), {}), *out});
  return {FAKE_LAUNCH, affine_argv, operands.back().data(), 3, 1};
}

int32_t DeviceTest::run(std::vector<fake_op> ops, int page) {
  error.text[0] = '\0';
  copies.clear();
  int32_t status = fake_run(model, ops.data(), int(ops.size()), workspace.data(), workspace.size() * sizeof(float),
                            state, page, &error);
  EXPECT_EQ(status, status ? error.code : 0);
  return status;
}

unsigned testSeed() {
  const char *given = std::getenv("ATTN_TEST_SEED");
  return given ? unsigned(std::atoi(given)) : std::random_device()();
}
