/* Pipeline.h: shared by the files that run pipelines of Halide inside a model file.
 *
 * A pipeline is a function that Halide compiled, without a runtime. What it calls is either defined here (errors, memory,
 * parallel loops) or, where it is about the device, in Halide's own runtime, which backends/halide/Runtime.cpp links with
 * these files. Freestanding C like the rest of the support code; HalideRuntime.h declares what is Halide's. */
#ifndef ATTN_BACKENDS_HALIDE_PIPELINE_H
#define ATTN_BACKENDS_HALIDE_PIPELINE_H

#include "backends/device/support/Launch.h"

#include <HalideRuntime.h>

/* Halide's user_context is a launch: passed to a pipeline, and by it to everything that it calls. The one that something
 * inside Halide is part of; NULL: none, or one that fails quietly. */
launch *launch_of(void *user_context);

typedef struct operand {
  halide_buffer_t buffer;
  halide_dimension_t dims[ATTN_MAX_RANK]; /* innermost first, as Halide has them */
  /* On a device: a crop for this launch or, if `copied`, an allocation; or nothing. */
  halide_buffer_t own;
  halide_dimension_t place[2];
  int copied;
} operand;

/* Describes a tensor of rank > 0 to Halide, as memory of the host. Types: 16-bit floats are uint16 and truth values uint8, the
 * others their own. A tensor without data, an input that is left out, is zeros: stride 0, and extents as large as Halide
 * allows. 0: a size or stride does not fit Halide's 32 bits, and the run has failed. */
int describe_operand(launch *l, const DLTensor *tensor, operand *o);
/* Runs the pipeline: its arguments are the inputs, a mask of those that are given (bit i: operand i), and what it writes.
 * operands: of all tensors; those of scalars are not used. */
void call_pipeline(launch *l, pipeline_fn pipeline, const DLTensor *tensors, operand *operands, int32_t inputs,
                   int32_t inits);

#endif
