/* Arenas.h: devices with a memory of their own: which bytes of the host's memory the device has, and copies between
 * the two.
 *
 * A region of the host's memory has at most one arena: a device allocation that mirrors it byte for byte.
 *
 *   kind       region                              what the device's copy holds
 *   WEIGHTS    one operand inside the weights      the same, always; until the model is closed
 *   WORKSPACE  all of the entry's workspace        what launches wrote, and what was copied there (attn_copy_to_device)
 *   PAGES      all pages of the state              the pages in use, if `stamp` is the state's
 *   CALL       one operand anywhere else: a        the same; until the run ends
 *              tensor of the caller
 *   BORROWED   a place for a tensor of the caller  what the caller has and what launches wrote, as in WORKSPACE; until
 *              that is in the device's memory      the run ends
 */
#ifndef ATTN_BACKENDS_DEVICE_ARENAS_H
#define ATTN_BACKENDS_DEVICE_ARENAS_H

#include "Launch.h"

typedef enum arena_kind { WEIGHTS, WORKSPACE, PAGES, CALL, BORROWED } arena_kind;

typedef struct device_memory device_memory; /* an allocation of the device's, which defines it */

typedef struct arena {
  struct arena *next;
  arena_kind kind;
  char *start;           /* of the host's region */
  uint64_t bytes;
  const context *owner;  /* the run that uses it; NULL: none, or all (WEIGHTS) */
  uint64_t stamp;        /* PAGES: the state's when they were alike */
  device_memory *memory;
} arena;

#define WEIGHT_BUCKETS 256
/* What a model has. */
typedef struct arenas {
  arena *list;                    /* but for WEIGHTS, latest first */
  arena *weights[WEIGHT_BUCKETS]; /* by their first byte */
} arenas;

/* Of the process, where it has them. */
extern void *malloc(size_t) __attribute__((weak));
extern void free(void *) __attribute__((weak));

/* ---- What a device defines --------------------------------------------------------------------------- */

/* Runs a section with the lock that guards the device and its arenas: everything below needs it. */
void with_device(launch *l, void (*section)(launch *, void *), void *arg);
/* A model's, from device_open on. */
arenas *arenas_of(const launch *l);

/* NULL: there is no memory, and the run has failed unless `quietly`. */
device_memory *allocate_memory(launch *l, uint64_t bytes, int quietly);
void free_memory(launch *l, device_memory *memory);

/* Between the host's memory and an arena, at the same place. These return 0 when the run has failed. */
int copy_range(launch *l, arena *a, uint64_t offset, uint64_t bytes, int to_device);
/* A tensor of rank > 0 with elements, inside the arena. */
int copy_elements(launch *l, arena *a, const DLTensor *tensor, int to_device);

/* The run ends: all that its launches do has happened or, with a caller's stream, comes before what that gets next. */
void finish_launches(launch *l);

/* ---- What it uses ------------------------------------------------------------------------------------ */

char *start_of(const DLTensor *tensor);

/* The arena of operand `i` of a launch, with what it holds, and where the operand lies in it. NULL: the run has failed. */
arena *place_operand(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, uint64_t *offset);
/* Where place_operand placed a tensor. */
arena *arena_of(launch *l, const DLTensor *tensor, uint64_t *offset);
/* After the launch, for each operand that was written: the caller's are in the host's memory. 0: the run has failed. */
int fetch_written(launch *l, const DLTensor *tensor);
/* A host's region of `bytes` bytes for memory of the caller's on the device, as if that mirrored it; until the run ends.
 * NULL: the run has failed. */
arena *borrow_memory(launch *l, device_memory *memory, uint64_t bytes);
/* When the model is closed. */
void free_arenas(launch *l, arenas *all);

#endif
