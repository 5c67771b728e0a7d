/* Descriptor.h: what attnc writes into a model file beside attn_library, for the support code alone.
 *
 * backends/cpu/Descriptor.cpp emits one attn_model_descriptor as LLVM IR constants and backends/cpu/Object.cpp one
 * table of attn_code per variant; their layouts follow the structs below, field by field. */
#ifndef ATTN_BACKENDS_CPU_DESCRIPTOR_H
#define ATTN_BACKENDS_CPU_DESCRIPTOR_H

#include "attn_abi.h"

/* Limits that the compiler keeps, so that run needs no memory of its own. Per entry. */
#define ATTN_MAX_DIMS 64    /* named dimensions */
#define ATTN_MAX_TENSORS 64 /* inputs and outputs together */
/* Dimension bound that stands for "none given". */
#define ATTN_NO_BOUND 2147483647

/* Instruction sets that a variant needs (attn_variant_code.needs). */
enum attn_cpu_needs {
  ATTN_CPU_X86_V3 = 1u, /* AVX2, FMA, F16C, BMI1, BMI2, LZCNT, MOVBE */
  ATTN_CPU_X86_V4 = 2u, /* v3 and AVX-512 F, BW, CD, DQ, VL */
  ATTN_CPU_BF16_DOT = 4u, /* AVX512_BF16 where it is faster than f32: AMD */
  ATTN_CPU_BF16_DOT_ARM = 8u /* FEAT_BF16; the rest of AArch64's baseline needs nothing */
};

/* Of generated code: 8 bytes everywhere. */
typedef union attn_argument {
  const void *pointer;
  int64_t number;
} attn_argument;

/* The code of one entry in one variant. */
typedef struct attn_code {
  /* args: the arguments of _mlir_ciface_ENTRY in order: context, a memref descriptor per
   * input and output, [pages, table, past, page] of the cache and of the cross cache, weights, workspace, workers */
  void (*run)(const attn_argument *args);
  /* args: the size of every dynamic dimension of the inputs, in order, then workers. Bytes, or < 0 on overflow */
  int64_t (*workspace)(const int64_t *args);
  uint64_t ops; /* calls of attn_dispatch in one run, for attn_host.poll; 0: unknown */
} attn_code;

typedef struct attn_variant_code {
  uint32_t needs; /* attn_cpu_needs */
  uint32_t reserved;
  const attn_code *entries; /* [n_entries] */
} attn_variant_code;

typedef struct attn_model_descriptor {
  const attn_library *library;
  const attn_variant_code *variants; /* [n_variants], as library->variants */
  uint64_t token_bytes;              /* of the key/value pages, per token; 0: the model has no state */
  /* A run reads, besides what it appends, only the last `window` tokens of its slot and the first `sinks`, and it
   * appends at most ring - window: other pages may be used again. ring 0: it reads everything. */
  uint32_t ring, window, sinks;
  uint32_t element_bytes; /* of a number in the pages */
  uint32_t cross_tokens;  /* that a run may append to the cross part of a slot; 0: there is none */
  const char *const *externals; /* [n_externals] names of functions that the host resolves */
  uint64_t n_externals;
} attn_model_descriptor;

#endif
