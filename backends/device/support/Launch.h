/* Launch.h: shared by the files that launch pipelines inside a model file, whatever the device. Freestanding C like
 * the rest of the support code. */
#ifndef ATTN_BACKENDS_DEVICE_LAUNCH_H
#define ATTN_BACKENDS_DEVICE_LAUNCH_H

#include "backends/cpu/support/Support.h"

typedef struct launch {
  context *ctx;
  const char *op;
  int nested; /* inside a task of a parallel loop: loops in it are serial */
} launch;

/* Operands of one launch; as many as an entry has tensors. */
#define MAX_OPERANDS ATTN_MAX_TENSORS

/* What stands for the data of an input that is left out: zeros. */
extern const char no_data[64];

/* Fails the run with a message, unless it has failed already. */
void fail_launch(const launch *l, int32_t status, const char *message);
/* Appends a message as one line without its end: line feeds, colons, full stops and spaces there. */
void put_line(text *t, const char *message);
/* What a device's runtime prints. l: NULL: nobody hears it. */
void log_message(const launch *l, const char *message);

/* Elements of a view from its first to its last, or 0 if it has none. */
int64_t span_of(const DLTensor *tensor);
/* Whether there is something to launch. 0: nothing to write, or the run has failed. */
int check_launch(launch *l, const DLTensor *tensors, int32_t inputs, int32_t inits);

#endif
