/* Process.c: what Halide's runtime needs of the process. A driver is a library of the process, and so is what the runtime keeps for
 * it: it outlives models and their hosts. What else the runtime takes from libc is here. */
#include "Device.h"

/* ---- libc -------------------------------------------------------------------------------------------- */

extern void *dlopen(const char *, int) __attribute__((weak));
extern void *dlsym(void *, const char *) __attribute__((weak));
extern int _setjmp(void *, void *frame) __attribute__((weak, returns_twice)); /* Windows' takes two */
extern void longjmp(void *, int) __attribute__((weak, noreturn));

static _Noreturn void give_up(int32_t status, const char *message);

int process_suffices(void) { return malloc && free && _setjmp && longjmp; }

const char *missing_driver;

/* Windows keeps Halide's own: see Runtime.cpp. */
void *halide_load_library(const char *name) {
  enum { RTLD_LAZY = 1 };
  void *library = dlopen && dlsym ? dlopen(name, RTLD_LAZY) : NULL;
  if (!library && !missing_driver)
    missing_driver = name;
  return library;
}

/* The runtime looks whether a function of OpenCL is there, but calls those of Vulkan's loader at once. */
void *halide_get_library_symbol(void *library, const char *name) {
  void *symbol = dlsym(library, name);
  if (!symbol && library && name[0] == 'v' && name[1] == 'k')
    give_up(ATTN_DEVICE, "halide: a function of the driver is missing");
  return symbol;
}

/* In front of the runtime's memory. */
typedef struct block {
  struct block *next;
  _Alignas(16) char memory[];
} block;
static block *freed; /* what is to be freed */
static int keeps;    /* while it is released, Vulkan's part reads what it has just freed */

/* Nor does Vulkan's part look whether there is memory. */
void *runtime_malloc(size_t bytes) {
  block *b = bytes < SIZE_MAX - sizeof(block) ? malloc(bytes + sizeof(block)) : NULL;
  if (!b && runtime_device_type == kDLVulkan)
    give_up(ATTN_OUT_OF_MEMORY, "out of memory");
  return b ? b->memory : NULL;
}

void runtime_free(void *memory) {
  if (!memory)
    return;
  block *b = (block *)((char *)memory - offsetof(block, memory));
  if (!keeps) {
    free(b);
    return;
  }
  b->next = freed;
  freed = b;
}

static void release(launch *l, void *arg) {
  (void)arg;
  halide_device_release(l, runtime_device_interface());
}

void release_device(launch *l) {
  keeps = 1;
  attempt(l, release, NULL);
  keeps = 0;
  for (block *next; freed; freed = next) {
    next = freed->next;
    free(freed);
  }
}

/* Aligned for Halide: malloc's result is in front. */
#define ALIGN 128
void *halide_malloc(void *user_context, size_t bytes) {
  (void)user_context;
  char *memory = bytes < SIZE_MAX - ALIGN - sizeof(void *) ? runtime_malloc(bytes + ALIGN + sizeof(void *)) : NULL;
  if (!memory)
    return NULL;
  char *aligned = memory + sizeof(void *) + ALIGN - ((uintptr_t)memory + sizeof(void *)) % ALIGN;
  ((void **)aligned)[-1] = memory;
  return aligned;
}

void halide_free(void *user_context, void *memory) {
  (void)user_context;
  if (memory)
    runtime_free(((void **)memory)[-1]);
}

int runtime_strcmp(const char *a, const char *b) {
  while (*a && *a == *b)
    ++a, ++b;
  return (unsigned char)*a - (unsigned char)*b;
}
/* It reads no environment. Vulkan's memory: blocks of at least 1 MiB, and sizes as fixVulkan in Runtime.cpp makes them. */
char *runtime_getenv(const char *name) { return runtime_strcmp(name, "HL_VK_ALLOC_CONFIG") ? NULL : (char *)"0:1:0:0:4096"; }
int runtime_atoi(const char *text) {
  int value = 0;
  while (*text >= '0' && *text <= '9')
    value = value * 10 + (*text++ - '0');
  return value;
}
size_t runtime_strlen(const char *text) {
  size_t n = 0;
  while (text[n])
    ++n;
  return n;
}
char *runtime_strncpy(char *to, const char *from, size_t n) {
  for (size_t i = 0; i < n; ++i)
    to[i] = *from ? *from++ : '\0';
  return to;
}
char *runtime_strstr(const char *text, const char *part) {
  for (;; ++text) {
    size_t i = 0;
    while (part[i] && text[i] == part[i])
      ++i;
    if (!part[i])
      return (char *)text;
    if (!*text)
      return NULL;
  }
}

/* ---- The lock ---------------------------------------------------------------------------------------- */

static int32_t locked;  /* atomic */
static launch *current; /* whose lock it is, unless what it does now may fail */
static int broken;      /* the runtime was left in the middle: its variables and locks are in any state */
static _Alignas(16) char escape[1024]; /* jmp_buf */

/* Not user_context: Vulkan's runtime keeps the one that made its allocator. */
launch *launch_of(void *user_context) {
  (void)user_context;
  return current;
}

void set_current(launch *l) { current = l; }

/* Leaves the section. */
static _Noreturn void give_up(int32_t status, const char *message) {
  if (current)
    fail_launch(current, status, message);
  longjmp(escape, 1);
}

/* An assertion prints "FILE:LINE halide_abort_if_false() failed: CONDITION", a constant, before it aborts. */
static const char *assertion = "";

void halide_print(void *user_context, const char *message) {
  const char *found = runtime_strstr(message, " failed: ");
  assertion = found ? found : assertion;
  log_message(launch_of(user_context), message);
}

void runtime_abort(void) {
  char text[128] = "halide: an assertion";
  runtime_strncpy(text + 20, assertion, sizeof text - 21);
  give_up(ATTN_DEVICE, text);
}

int attempt(launch *l, void (*section)(launch *, void *), void *arg) {
  char outer[sizeof escape];
  memcpy(outer, escape, sizeof escape);
  int whole = !_setjmp(escape, NULL);
  if (whole)
    section(l, arg);
  memcpy(escape, outer, sizeof escape);
  return whole;
}

void with_device(launch *l, void (*section)(launch *, void *), void *arg) {
  const attn_host *host = l->ctx->host;
  for (uint32_t looks = 0; __atomic_exchange_n(&locked, 1, __ATOMIC_ACQUIRE); ++looks)
    if (looks > 1000 && host->idle)
      host->idle(host->ctx);
  current = l;
  if (broken)
    fail_launch(l, ATTN_DEVICE, "halide: it gave up before, and the file is still open");
  else
    broken = !attempt(l, section, arg);
  current = NULL;
  __atomic_store_n(&locked, 0, __ATOMIC_RELEASE);
}

int is_broken(void) { return broken; }
void mend(void) { broken = 0; }

/* The runtime's locks: it is only ever called under ours. */
void halide_mutex_lock(struct halide_mutex *mutex) { (void)mutex; }
void halide_mutex_unlock(struct halide_mutex *mutex) { (void)mutex; }

/* Halide 21 may use a freed buffer of Vulkan's again for a larger one. */
bool halide_can_reuse_device_allocations(void *user_context) {
  (void)user_context;
  return false;
}
