/* Launch.h: shared by the files that run pipelines of Halide inside a model file.
 *
 * A pipeline is a function that Halide compiled, without a runtime. What it calls is either defined here (errors, memory,
 * parallel loops) or, where it is about the device, in Halide's own runtime, which backends/halide/Runtime.cpp links with
 * these files. Freestanding C like the rest of the support code; HalideRuntime.h declares what is Halide's. */
#ifndef ATTN_BACKENDS_HALIDE_LAUNCH_H
#define ATTN_BACKENDS_HALIDE_LAUNCH_H

#include "backends/cpu/support/Support.h"

#include <HalideRuntime.h>

/* Halide's user_context: passed to a pipeline, and by it to everything that it calls. */
typedef struct launch {
  context *ctx;
  const char *op;
  int nested; /* inside a task of a parallel loop: loops in it are serial */
} launch;

/* The launch that something inside Halide is part of; NULL: none, or one that fails quietly. */
launch *launch_of(void *user_context);

/* What Halide prints. */
void log_message(const launch *l, const char *message);

/* Operands of one launch; as many as an entry has tensors. */
#define MAX_OPERANDS ATTN_MAX_TENSORS

typedef struct operand {
  halide_buffer_t buffer;
  halide_dimension_t dims[ATTN_MAX_RANK]; /* innermost first, as Halide has them */
  /* On a device: a crop for this launch or, if `copied`, an allocation; or nothing. */
  halide_buffer_t own;
  halide_dimension_t place[2];
  int copied;
} operand;

/* What stands for the data of an input that is left out: zeros. */
extern const char no_data[64];

/* Describes a tensor of rank > 0 to Halide, as memory of the host. Types: 16-bit floats are uint16 and truth values uint8, the
 * others their own. A tensor without data, an input that is left out, is zeros: stride 0, and extents as large as Halide
 * allows. 0: a size or stride does not fit Halide's 32 bits, and the run has failed. */
int describe_operand(launch *l, const DLTensor *tensor, operand *o);
/* Elements of a view from its first to its last, or 0 if it has none. */
int64_t span_of(const DLTensor *tensor);
/* Whether there is something to launch. 0: nothing to write, or the run has failed. */
int check_launch(launch *l, const DLTensor *tensors, int32_t inputs, int32_t inits);
/* Runs the pipeline: its arguments are the inputs, a mask of those that are given (bit i: operand i), and what it writes.
 * operands: of all tensors; those of scalars are not used. */
void call_pipeline(launch *l, pipeline_fn pipeline, const DLTensor *tensors, operand *operands, int32_t inputs,
                   int32_t inits);
/* Fails the run with Halide's message, or one about Halide, unless it has failed already. */
void fail_launch(const launch *l, int32_t status, const char *message);

#endif
