/* Queue.h: launches wait until somebody needs what they compute, and begin together; a sequence of launches that comes
 * again, as every token of a decoder does, is one CUDA graph. All of it needs with_device's lock and the context. */
#ifndef ATTN_BACKENDS_CUDA_QUEUE_H
#define ATTN_BACKENDS_CUDA_QUEUE_H

#include "Driver.h"
#include "backends/device/support/Launch.h"

/* Launches that wait at most, and their arguments. */
enum { MAX_WAITING = 1024, MAX_WORDS = 64 * MAX_WAITING };

/* Of one launch: memrefs of its operands. */
enum { MAX_ARGUMENTS = MAX_OPERANDS * (3 + 2 * ATTN_MAX_RANK) };

typedef struct queued {
  cuda_function function;
  uint32_t blocks, threads, shared_bytes;
  uint32_t first, n; /* arguments, in words of the sequence */
  launch of;         /* the run and the op: two launches are alike without */
} queued;

/* Launches in their order. */
typedef struct sequence {
  queued *items;
  uint64_t *words;
  uint32_t n, n_words;
} sequence;

typedef struct graph {
  struct graph *next;
  uint64_t hash;
  sequence of;
  cuda_graph_exec exec;
} graph;

#define SEEN 64
/* What a model has. */
typedef struct queue {
  const cuda_driver *driver;
  cuda_stream stream;
  sequence waiting;
  graph *graphs;       /* used last first */
  uint64_t seen[SEEN]; /* hashes of sequences that came once, by their last bits */
} queue;

/* Whether the driver's call succeeded; else the run fails with the driver's message. */
int check(const launch *l, const cuda_driver *driver, cuda_result result, const char *what);

/* 0: out of memory. */
int make_queue(queue *q, const cuda_driver *driver, cuda_stream stream);
void free_queue(queue *q);
/* Adds a launch; its arguments are copied. */
void enqueue_launch(queue *q, queued item, const uint64_t *arguments);
/* Begins all that waits, but for runs that have failed. A failure is that of the run whose launch it was. */
void flush_queue(queue *q);

#endif
