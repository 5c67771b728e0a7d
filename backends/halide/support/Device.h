/* Device.h: devices with a memory of their own, OpenCL and Vulkan, through Halide's device interface.
 *
 * A region of the host's memory has at most one arena: a device allocation that mirrors it byte for byte. A view is a crop of
 * the arena where the device allows one to begin. Elsewhere, it is all of the arena with a negative minimum of the innermost
 * dimension if it is read, and a copy if it is written.
 *
 *   kind       region                                  what the device's copy holds
 *   WEIGHTS    one operand inside the weights          the same, always; until the model is closed
 *   WORKSPACE  all of the entry's workspace            what launches wrote, and what was copied there (attn_copy_to_device)
 *   PAGES      all pages of the state                  the pages in use, if `stamp` is the state's
 *   CALL       one operand anywhere else: a tensor of  the same; until the run ends
 *              the caller
 *
 * Halide's runtime has one context per model file, shared by its open models; one lock guards it and all of this. */
#ifndef ATTN_BACKENDS_HALIDE_DEVICE_H
#define ATTN_BACKENDS_HALIDE_DEVICE_H

#include "Launch.h"

typedef enum arena_kind { WEIGHTS, WORKSPACE, PAGES, CALL } arena_kind;

typedef struct arena {
  struct arena *next;
  arena_kind kind;
  char *start;            /* of the host's region */
  uint64_t bytes;
  const context *owner;   /* the run that uses it; NULL: none, or all (WEIGHTS) */
  uint64_t stamp;         /* PAGES: the state's when they were alike */
  halide_buffer_t buffer; /* bytes in rows of 1 MiB */
  halide_buffer_t all;    /* a crop of all of it: in Halide 21, Vulkan gives a buffer up when its last crop is released */
  halide_dimension_t dims[2];
} arena;

#define WEIGHT_BUCKETS 256
/* What a model has; attn_model.device. */
typedef struct device {
  arena *arenas;                  /* but for WEIGHTS, latest first */
  arena *weights[WEIGHT_BUCKETS]; /* by their first byte */
} device;

/* Made by Runtime.cpp. */
/* Gives the runtime's variables their first values and calls its constructors. Pipelines keep the numbers by which it knows
 * them; that it knows those is not forgotten. */
void runtime_construct(void);
const struct halide_device_interface_t *runtime_device_interface(void);
extern const int32_t runtime_device_type; /* DLDeviceType */

/* Of the process, where it has them. */
extern void *malloc(size_t) __attribute__((weak));
extern void free(void *) __attribute__((weak));
int process_suffices(void);
extern const char *missing_driver; /* the library that could not be loaded first */

/* Runs a section with the lock. What fails inside Halide meanwhile fails this launch, or nothing after set_current(NULL). Where
 * the runtime would end the process, for an assertion or without memory, the section ends, and all later ones fail until no
 * model is open. */
void with_device(launch *l, void (*section)(launch *, void *), void *arg);
void set_current(launch *l);
/* A part of a section that may end like that without ending the section. 0: it did. */
int attempt(launch *l, void (*section)(launch *, void *), void *arg);
/* The runtime gives up its context. */
void release_device(launch *l);
int is_broken(void);
void mend(void);

/* All of these need the lock. */

/* Halide's result; memory only if it is 0. */
int allocate(launch *l, halide_buffer_t *buffer);

/* These return 0 when the run has failed. */

/* Describes operand `i` of a launch as device memory that holds what the tensor does. */
int place_operand(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, operand *o);
/* After the launch, or without one, for each that was described. */
void leave_operand(launch *l, const DLTensor *tensor, operand *o);
/* After that, for each operand that was written: the caller's are in the host's memory. */
int fetch_written(launch *l, const DLTensor *tensor);
/* See attn_copy_to_host and attn_copy_to_device. */
int copy_view(launch *l, const DLTensor *tensor, int to_device);
/* A run gives its arenas back. */
void finish_arenas(launch *l);
/* One page of the state that the run has written. */
int fetch_page(launch *l, char *page, uint64_t bytes);
void free_arenas(launch *l, device *d);

#endif
