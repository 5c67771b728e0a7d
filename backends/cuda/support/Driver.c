/* Driver.c: libcuda.so.1, from the process's loader. */
#include "Driver.h"

extern void *dlopen(const char *, int) __attribute__((weak));
extern void *dlsym(void *, const char *) __attribute__((weak));
extern void *malloc(size_t) __attribute__((weak));
extern void free(void *) __attribute__((weak));

int process_suffices(void) { return malloc && free && dlopen && dlsym; }

const cuda_driver *load_driver(const char **missing) {
  enum { RTLD_NOW = 2 };
  static cuda_driver driver; /* outlives models: a driver is never unloaded. Written under with_device's lock. */
  static int is_loaded;
  if (is_loaded)
    return &driver;
  void *library = dlopen("libcuda.so.1", RTLD_NOW);
  *missing = NULL;
  if (!library)
    return NULL;
#define CUDA_LOAD(function, name, arguments)                                                                           \
  *missing = #function;                                                                                                \
  if (!(driver.name = (cuda_result(*) arguments)dlsym(library, #function)))                                            \
    return NULL;
  CUDA_FUNCTIONS(CUDA_LOAD)
#undef CUDA_LOAD
  is_loaded = 1;
  return &driver;
}
