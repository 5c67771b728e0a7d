/* Device.h: devices with a memory of their own, OpenCL and Vulkan, through Halide's device interface.
 *
 * A view of an arena is a crop where the device allows one to begin. Elsewhere, it is all of the arena with a negative minimum
 * of the innermost dimension if it is read, and a copy if it is written.
 *
 * Halide's runtime has one context per model file, shared by its open models; one lock guards it and all arenas. */
#ifndef ATTN_BACKENDS_HALIDE_DEVICE_H
#define ATTN_BACKENDS_HALIDE_DEVICE_H

#include "Pipeline.h"
#include "backends/device/support/Arenas.h"

struct device_memory {
  halide_buffer_t buffer; /* bytes in rows of 1 MiB */
  halide_buffer_t all;    /* a crop of all of it: in Halide 21, Vulkan gives a buffer up when its last crop is released */
  halide_dimension_t dims[2];
};

/* Made by Runtime.cpp. */
/* Gives the runtime's variables their first values and calls its constructors. Pipelines keep the numbers by which it knows
 * them; that it knows those is not forgotten. */
void runtime_construct(void);
const struct halide_device_interface_t *runtime_device_interface(void);
extern const int32_t runtime_device_type; /* DLDeviceType */

/* Of the process, where it has them. */
int process_suffices(void);
extern const char *missing_driver; /* the library that could not be loaded first */

/* Of a section (with_device): what fails inside Halide meanwhile fails this launch, or nothing after set_current(NULL). Where
 * the runtime would end the process, for an assertion or without memory, the section ends, and all later ones fail until no
 * model is open. */
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

/* Describes operand `i` of a launch as device memory that holds what the tensor does. 0: the run has failed. */
int describe_on_device(launch *l, const DLTensor *tensors, int32_t i, int32_t inputs, int32_t n, operand *o);
/* After the launch, or without one, for each that was described. */
void leave_operand(launch *l, const DLTensor *tensor, operand *o);

#endif
