// Everything that a device, its driver or the process can fail at: a status with a message, and then the next run
// works.
#include "device_test.h"

#include <cstdlib>

namespace {
class DeviceFailures : public DeviceTest {
protected:
  std::vector<float> in = std::vector<float>(40, 3), out = std::vector<float>(40);

  /// All that a model does, once; the first status that is not ATTN_OK.
  int32_t all() {
    error.text[0] = '\0';
    error.code = 0;
    model = fake_open(&host, {kDLCPU, 0}, nullptr, 0, &error);
    if (!model)
      return error.code;
    workspace = std::vector<float>(100);
    float *a = workspace.data() + 16;
    out.assign(40, 0);
    int32_t status =
        run({affine(matrix(in.data(), 2, 20), 2, 1, matrix(a, 2, 20)), copy(FAKE_TO_HOST, matrix(a, 2, 20)),
             copy(FAKE_TO_DEVICE, matrix(a, 2, 20)), affine(matrix(a, 2, 20), 2, 0, matrix(out.data(), 2, 20))});
    if (status == ATTN_OK)
      EXPECT_EQ(out, std::vector<float>(40, 14));
    close();
    return status;
  }
  bool works() {
    process.failing = process.missing = "";
    process.failMalloc = -1;
    process.noDriver = false;
    return all() == ATTN_OK;
  }
};

#ifdef TEST_OPENCL
constexpr DLDeviceType kDevice = kDLOpenCL;
// Not clGetMemObjectInfo: while it fails, the runtime releases nothing.
const char *const kFunctions[] = {"clGetPlatformIDs",
                                  "clGetDeviceIDs",
                                  "clCreateContext",
                                  "clCreateCommandQueue",
                                  "clGetContextInfo",
                                  "clGetDeviceInfo",
                                  "clCreateProgramWithSource",
                                  "clBuildProgram",
                                  "clCreateKernel",
                                  "clSetKernelArg",
                                  "clEnqueueNDRangeKernel",
                                  "clCreateBuffer",
                                  "clEnqueueWriteBuffer",
                                  "clEnqueueReadBuffer",
                                  "clFinish"};
const char *const kNeeded[] = {"clCreateContext", "clFinish", "clReleaseContext"};
#else
constexpr DLDeviceType kDevice = kDLVulkan;
// Not vkCreateBuffer: when it fails, the runtime's allocator goes on with a piece of memory that it has given away.
const char *const kFunctions[] = {"vkCreateInstance",       "vkEnumeratePhysicalDevices",
                                  "vkCreateDevice",         "vkAllocateMemory",
                                  "vkBindBufferMemory",     "vkMapMemory",
                                  "vkCreateCommandPool",    "vkAllocateCommandBuffers",
                                  "vkBeginCommandBuffer",   "vkEndCommandBuffer",
                                  "vkQueueSubmit",          "vkQueueWaitIdle",
                                  "vkCreateShaderModule",   "vkCreateDescriptorSetLayout",
                                  "vkCreatePipelineLayout", "vkCreateComputePipelines",
                                  "vkCreateDescriptorPool", "vkAllocateDescriptorSets"};
const char *const kNeeded[] = {"vkGetInstanceProcAddr"};
#endif
} // namespace

TEST_F(DeviceFailures, NoDriver) {
  process.noDriver = true;
  EXPECT_EQ(all(), ATTN_DEVICE);
  EXPECT_EQ(text(), kDevice == kDLOpenCL ? "open: could not load the driver 'libOpenCL.so.1'"
                                         : "open: could not load the driver 'libvulkan.so.1'");
}

TEST_F(DeviceFailures, Driver) { // each function of the driver, from its first, second, … call on
  ASSERT_NO_FATAL_FAILURE(open());
  close();
  const char *only = std::getenv("ATTN_TEST_ONLY");
  for (const std::string name : kFunctions)
    for (int after = 0;; ++after) {
      SCOPED_TRACE(name + " after " + std::to_string(after));
      if (only && name != only)
        break;
      process = Process();
      process.failing = name;
      process.failAfter = after;
      int32_t status = all();
      if (!process.calledFailing) {
        EXPECT_GT(after, 0) << "is not called";
        EXPECT_EQ(status, ATTN_OK);
        break;
      }
      EXPECT_EQ(process.buffers, 0);
      if (status != ATTN_OK) { // what fails while it is released is not told
        EXPECT_TRUE(status == ATTN_DEVICE) << status;
        EXPECT_NE(text(), "");
      }
      ASSERT_TRUE(works()) << text();
    }
}

TEST_F(DeviceFailures, MissingFunctions) {
  ASSERT_NO_FATAL_FAILURE(open());
  close();
  for (const char *name : kNeeded) {
    process = Process();
    process.missing = name;
    EXPECT_EQ(all(), ATTN_DEVICE) << name;
    EXPECT_NE(text(), "") << name;
    ASSERT_TRUE(works()) << name << ": " << text();
  }
}

TEST_F(DeviceFailures, Memory) { // of the process: each allocation once
  ASSERT_NO_FATAL_FAILURE(open());
  close();
  process = Process();
  ASSERT_EQ(all(), ATTN_OK) << text();
  int n = process.mallocs;
  for (int i = 0; i < n; ++i) {
    SCOPED_TRACE(i);
    process = Process();
    process.failMalloc = i;
    int32_t status = all();
    EXPECT_TRUE(status == ATTN_OK || status == ATTN_DEVICE || status == ATTN_OUT_OF_MEMORY) << status << text();
    EXPECT_EQ(process.buffers, 0);
    ASSERT_TRUE(works()) << text();
  }
}

TEST_F(DeviceFailures, Devices) {
  ASSERT_NO_FATAL_FAILURE(open());
  // A file is on one device, however often it is open.
  fake_model *second = fake_open(&host, {kDLCPU, 0}, nullptr, 0, &error);
  ASSERT_TRUE(second) << text();
  fake_close(second);
  DLDevice other = {kDevice, 1};
  EXPECT_EQ(fake_open(&host, other, nullptr, 0, &error), nullptr);
  EXPECT_EQ(text(), kDevice == kDLOpenCL ? "open: expected the device on which this file is open already"
                                         : "open: expected device 0 of Vulkan, which chooses one itself");
  EXPECT_EQ(error.code, ATTN_UNSUPPORTED);
  close();
  // Of another kind, of a number that there is not, and the first.
  EXPECT_EQ(fake_open(&host, {kDLCUDA, 0}, nullptr, 0, &error), nullptr);
  EXPECT_EQ(text(), "open: expected the CPU or device type " + std::to_string(kDevice) + ", got 2");
  other.device_id = 77;
  EXPECT_EQ(fake_open(&host, other, nullptr, 0, &error), nullptr);
  if (kDevice == kDLOpenCL)
    EXPECT_EQ(text(), "open: no device: halide: OpenCL error: CL_DEVICE_NOT_FOUND Failed to get device");
  other.device_id = 0;
  ASSERT_TRUE(model = fake_open(&host, other, nullptr, 0, &error)) << text();
}

TEST_F(DeviceFailures, Leaks) { // every buffer is released
  ASSERT_NO_FATAL_FAILURE(open());
  close();
  process = Process();
  ASSERT_EQ(all(), ATTN_OK);
  EXPECT_EQ(process.buffers, 0);
}
