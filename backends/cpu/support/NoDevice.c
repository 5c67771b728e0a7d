/* NoDevice.c: a model file whose ops all run on the host. One with launches has other definitions: backends/halide/support. */
#include "Support.h"

#define WEAK __attribute__((weak))

WEAK int32_t device_open(attn_model *model, DLDevice device, attn_error *error) {
  (void)model;
  if (device.device_type == kDLCPU)
    return ATTN_OK;
  text t = begin(error, ATTN_UNSUPPORTED);
  put(&t, "open: expected the CPU as device, got device type ");
  put_int(&t, (int64_t)device.device_type);
  return end(&t);
}
WEAK void device_close(attn_model *model) { (void)model; }
WEAK int device_holds(DLDevice device) {
  (void)device;
  return 0;
}
WEAK int32_t device_begin(context *ctx, const attn_entry *entry, const attn_call *call, DLTensor *shadows) {
  (void)ctx;
  (void)entry;
  (void)call;
  (void)shadows;
  return ATTN_OK;
}
WEAK void device_fetch_page(context *ctx, char *page) {
  (void)ctx;
  (void)page;
}
WEAK void device_finish(context *ctx) { (void)ctx; }
WEAK int device_has_threads(void) { return 0; }
WEAK uint64_t device_stamp(void) { return 0; }
