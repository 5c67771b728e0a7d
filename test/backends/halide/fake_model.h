// A model of one entry, around launches: the context, host and descriptor that pipelines meet in a model file.
#ifndef ATTNC_TEST_BACKENDS_HALIDE_FAKE_MODEL_H
#define ATTNC_TEST_BACKENDS_HALIDE_FAKE_MODEL_H

#include "attn_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef int (*fake_pipeline)(void **);
typedef enum fake_kind { FAKE_LAUNCH, FAKE_TO_HOST, FAKE_TO_DEVICE, FAKE_FAIL } fake_kind;

/* One op of the entry. */
typedef struct fake_op {
  fake_kind kind;
  fake_pipeline pipeline;
  const DLTensor *tensors;
  int32_t inputs, inits;
} fake_op;

typedef struct fake_model fake_model;
/* NULL with the error set. weights may be NULL. */
fake_model *fake_open(const attn_host *host, DLDevice device, const void *weights, uint64_t weights_bytes,
                      attn_error *error);
void fake_close(fake_model *model);
/* Runs ops in a workspace, which may be NULL, and with a state or none. On success page `page` of the state was
 * written, if that is not negative. */
int32_t fake_run(fake_model *model, const fake_op *ops, int n, void *workspace, uint64_t workspace_bytes,
                 attn_state *state, int page, attn_error *error);

/* Pages of 64 tokens of 16 bytes. */
attn_state *fake_state(void *memory, uint64_t bytes, uint32_t slots, uint64_t capacity);
char *fake_pages(const attn_state *state);
/* Appends tokens to slot 0, as a run does before its launches; returns the number of the page of the first. */
int fake_append(attn_state *state, int64_t tokens);

#ifdef __cplusplus
}
#endif
#endif
