/* Code.h: what attnc puts into a model file for CUDA, besides its host code: Library.cpp writes these. */
#ifndef ATTN_BACKENDS_CUDA_CODE_H
#define ATTN_BACKENDS_CUDA_CODE_H

#include <stdint.h>

#define ATTN_CUDA_AXES 8
#define ATTN_CUDA_TARGETS 2 /* codes of a file */

enum {
  ATTN_CUDA_ELEMENTS = -1, /* dim: the number of all elements */
  ATTN_CUDA_ROWS = -2      /* dim: the product of all dimensions but the last */
};

typedef struct attn_cuda_axis {
  uint32_t operand; /* of the launch */
  int32_t dim;
  uint32_t tile;
} attn_cuda_axis;

/* A kernel. A launch has the product of ⌈size / tile⌉ over all axes blocks. Its arguments are those of MLIR's memrefs:
 * pointer, pointer, 0, sizes, strides; a scalar is itself. */
typedef struct attn_cuda_kernel {
  const char *name;
  uint32_t threads;
  uint32_t shared_bytes; /* dynamic shared memory of a block */
  uint32_t n_axes;
  attn_cuda_axis axes[ATTN_CUDA_AXES];
  attn_cuda_axis few_up_to; /* a launch whose size is at most the tile is the next kernel's; tile 0: none */
} attn_cuda_kernel;

/* Code for one kind of device. */
typedef struct attn_cuda_code {
  int32_t capability; /* 10·major + minor; see DeviceCode in Module.h */
  const char *ptx;
  uint64_t n_kernels;
  const attn_cuda_kernel *kernels;
} attn_cuda_code;

/* What attn_launch gets as its pipeline: the place of its kernel in each code's list. */
typedef struct attn_cuda_pipeline {
  uint32_t index[ATTN_CUDA_TARGETS];
} attn_cuda_pipeline;

#endif
