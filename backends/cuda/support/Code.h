/* Code.h: what attnc puts into a model file for CUDA, besides its host code: Library.cpp writes these. */
#ifndef ATTN_BACKENDS_CUDA_CODE_H
#define ATTN_BACKENDS_CUDA_CODE_H

#include <stdint.h>

#define ATTN_CUDA_AXES 8

enum {
  ATTN_CUDA_ELEMENTS = -1, /* dim: the number of all elements */
  ATTN_CUDA_ROWS = -2      /* dim: the product of all dimensions but the last */
};

typedef struct attn_cuda_axis {
  uint32_t operand; /* of the launch */
  int32_t dim;
  uint32_t tile;
} attn_cuda_axis;

/* A kernel, which attn_launch gets as its pipeline. A launch has the product of ⌈size / tile⌉ over all axes blocks. Its
 * arguments are those of MLIR's memrefs: pointer, pointer, 0, sizes, strides; a scalar is itself. */
typedef struct attn_cuda_kernel {
  const char *name;
  uint32_t index; /* in attn_cuda_code.kernels */
  uint32_t threads;
  uint32_t n_axes;
  attn_cuda_axis axes[ATTN_CUDA_AXES];
  attn_cuda_axis few_up_to; /* a launch whose size is at most the tile is the next kernel's; tile 0: none */
} attn_cuda_kernel;

typedef struct attn_cuda_ptx {
  int32_t capability; /* 10·major + minor; see Ptx in Module.h */
  const char *text;
} attn_cuda_ptx;

typedef struct attn_cuda_code {
  uint64_t n_ptx;
  const attn_cuda_ptx *ptx;
  uint64_t n_kernels;
  const attn_cuda_kernel *const *kernels;
} attn_cuda_code;

#endif
