/* Driver.h: the functions of NVIDIA's driver, libcuda.so.1, that a model file calls. It is opened on first use; no
 * header of CUDA's is needed. */
#ifndef ATTN_BACKENDS_CUDA_DRIVER_H
#define ATTN_BACKENDS_CUDA_DRIVER_H

#include <stddef.h>
#include <stdint.h>

typedef int cuda_result; /* 0: success */
enum { CUDA_OUT_OF_MEMORY = 2, CUDA_NO_DEVICE = 100, CUDA_INVALID_DEVICE = 101 };
enum { CUDA_CAPABILITY_MAJOR = 75, CUDA_CAPABILITY_MINOR = 76 };
enum { CUDA_STREAM_NON_BLOCKING = 1 };
enum { CUDA_FUNCTION_DYNAMIC_SHARED = 8 };
enum { CUDA_CAPTURE_THREAD_LOCAL = 1 };
enum { CUDA_EVENT_DISABLE_TIMING = 2 };
enum { CUDA_POINTER_MEMORY_TYPE = 2, CUDA_POINTER_DEVICE = 9 };

typedef uint64_t cuda_address;
typedef struct cuda_context_t *cuda_context;
typedef struct cuda_module_t *cuda_module;
typedef struct cuda_function_t *cuda_function;
typedef struct cuda_stream_t *cuda_stream;
typedef struct cuda_event_t *cuda_event;
typedef struct cuda_graph_t *cuda_graph;
typedef struct cuda_graph_exec_t *cuda_graph_exec;

/* function of the driver, our name, its arguments */
#define CUDA_FUNCTIONS(F)                                                                                              \
  F(cuInit, init, (unsigned flags))                                                                                    \
  F(cuDriverGetVersion, version, (int *version))                                                                       \
  F(cuDeviceGet, device_get, (int *device, int number))                                                                \
  F(cuDeviceGetAttribute, device_attribute, (int *value, int attribute, int device))                                   \
  F(cuDevicePrimaryCtxRetain, context_retain, (cuda_context * context, int device))                                    \
  F(cuDevicePrimaryCtxRelease_v2, context_release, (int device))                                                       \
  F(cuCtxPushCurrent_v2, context_push, (cuda_context context))                                                         \
  F(cuCtxPopCurrent_v2, context_pop, (cuda_context * context))                                                         \
  F(cuModuleLoadData, module_load, (cuda_module * module, const void *image))                                          \
  F(cuModuleUnload, module_unload, (cuda_module module))                                                               \
  F(cuModuleGetFunction, module_function, (cuda_function * function, cuda_module module, const char *name))            \
  F(cuFuncSetAttribute, function_set, (cuda_function function, int attribute, int value))                              \
  F(cuMemAlloc_v2, allocate, (cuda_address * address, size_t bytes))                                                   \
  F(cuMemFree_v2, free, (cuda_address address))                                                                        \
  F(cuMemcpyHtoDAsync_v2, copy_to_device, (cuda_address to, const void *from, size_t bytes, cuda_stream stream))       \
  F(cuMemcpyDtoHAsync_v2, copy_to_host, (void *to, cuda_address from, size_t bytes, cuda_stream stream))               \
  F(cuStreamCreate, stream_create, (cuda_stream * stream, unsigned flags))                                             \
  F(cuStreamDestroy_v2, stream_destroy, (cuda_stream stream))                                                          \
  F(cuStreamSynchronize, stream_wait, (cuda_stream stream))                                                            \
  F(cuLaunchKernel, launch,                                                                                            \
    (cuda_function function, unsigned x, unsigned y, unsigned z, unsigned threads_x, unsigned threads_y,               \
     unsigned threads_z, unsigned shared_bytes, cuda_stream stream, void **arguments, void **extra))                   \
  F(cuEventCreate, event_create, (cuda_event * event, unsigned flags))                                                 \
  F(cuEventRecord, event_record, (cuda_event event, cuda_stream stream))                                               \
  F(cuEventDestroy_v2, event_destroy, (cuda_event event))                                                              \
  F(cuStreamWaitEvent, stream_wait_event, (cuda_stream stream, cuda_event event, unsigned flags))                      \
  F(cuStreamBeginCapture_v2, capture_begin, (cuda_stream stream, int mode))                                            \
  F(cuStreamEndCapture, capture_end, (cuda_stream stream, cuda_graph * graph))                                         \
  F(cuGraphInstantiateWithFlags, graph_instantiate,                                                                    \
    (cuda_graph_exec * exec, cuda_graph graph, unsigned long long flags))                                              \
  F(cuGraphLaunch, graph_launch, (cuda_graph_exec exec, cuda_stream stream))                                           \
  F(cuGraphExecDestroy, graph_exec_destroy, (cuda_graph_exec exec))                                                    \
  F(cuGraphDestroy, graph_destroy, (cuda_graph graph))                                                                 \
  F(cuPointerGetAttribute, pointer_attribute, (void *value, int attribute, cuda_address address))                      \
  F(cuGetErrorString, error_string, (cuda_result result, const char **text))

typedef struct cuda_driver {
#define CUDA_MEMBER(function, name, arguments) cuda_result(*name) arguments;
  CUDA_FUNCTIONS(CUDA_MEMBER)
#undef CUDA_MEMBER
} cuda_driver;

/* The process's driver. NULL: there is none, or it lacks `*missing`. */
const cuda_driver *load_driver(const char **missing);
/* Whether the process can load one and has memory. */
int process_suffices(void);

#endif
