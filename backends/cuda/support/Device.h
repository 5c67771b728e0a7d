/* Device.h: shared by the files that run a model on an NVIDIA GPU. */
#ifndef ATTN_BACKENDS_CUDA_DEVICE_H
#define ATTN_BACKENDS_CUDA_DEVICE_H

#include "Queue.h"
#include "backends/device/support/Arenas.h"

/* What a model has; attn_model.device. */
typedef struct cuda_device {
  arenas memory;
  const cuda_driver *driver;
  cuda_context context;
  cuda_module module;
  cuda_stream stream;
  cuda_event event;            /* for order between that stream and a caller's */
  queue queue;                 /* of launches on that stream */
  struct device_memory *spare; /* no longer used: allocating takes long, and what has its old place repeats graphs */
  uint64_t spare_bytes;
  int number;                /* the driver's of the device */
  int is_current;            /* its context is, inside with_device */
  int target;                /* whose code it runs: attn_cuda[target] */
  cuda_function functions[]; /* of its kernels */
} cuda_device;

static inline cuda_device *device_of(const launch *l) { return l->ctx->model->device; }

struct device_memory {
  struct device_memory *next; /* spare */
  cuda_address address;
  uint64_t bytes;
  int is_used;     /* by launches: copies come after them */
  int is_borrowed; /* the caller's */
};

/* What begins on `later` from now on comes after all that `first` has. 0: the run has failed. */
int order_streams(launch *l, cuda_stream first, cuda_stream later);

#endif
