/* Library.c: the query function, choice of the variant, weights. */
#include "Support.h"

#if defined(__x86_64__)
#include <cpuid.h>
#endif

/* ---- The CPU ---------------------------------------------------------------------------------------- */

#if defined(__x86_64__)
static uint64_t enabled_state(void) { /* registers that the operating system saves: XCR0 */
  uint32_t low, high;
  __asm__ volatile("xgetbv" : "=a"(low), "=d"(high) : "c"(0));
  return (uint64_t)high << 32 | low;
}

static int is_amd(void) { /* "AuthenticAMD" */
  uint32_t a, b, c, d;
  return __get_cpuid(0, &a, &b, &c, &d) && b == 0x68747541 && d == 0x69746e65 && c == 0x444d4163;
}

/* attn_cpu_needs that this machine fulfils. */
static uint32_t cpu_offers(void) {
  enum { AVX_STATE = 0x6, AVX512_STATE = 0xe6 };
  uint32_t a, b, c, d, b7, c7, d7, ext_c;
  if (!__get_cpuid(1, &a, &b, &c, &d))
    return 0;
  const uint32_t v3_1 = 1u << 12 /* FMA */ | 1u << 22 /* MOVBE */ | 1u << 27 /* OSXSAVE */ | 1u << 28 /* AVX */ |
                        1u << 29 /* F16C */;
  if ((c & v3_1) != v3_1 || !__get_cpuid_count(7, 0, &a, &b7, &c7, &d7) ||
      !__get_cpuid(0x80000001, &a, &b, &ext_c, &d))
    return 0;
  const uint32_t v3_7 = 1u << 3 /* BMI1 */ | 1u << 5 /* AVX2 */ | 1u << 8 /* BMI2 */;
  uint64_t state = enabled_state();
  if ((b7 & v3_7) != v3_7 || !(ext_c & 1u << 5 /* LZCNT */) || (state & AVX_STATE) != AVX_STATE)
    return 0;
  const uint32_t v4_7 = 1u << 16 /* F */ | 1u << 17 /* DQ */ | 1u << 28 /* CD */ | 1u << 30 /* BW */ |
                        1u << 31 /* VL */;
  uint32_t v4 = (b7 & v4_7) == v4_7 && (state & AVX512_STATE) == AVX512_STATE;
  uint32_t dot = v4 && is_amd() && __get_cpuid_count(7, 1, &a, &b, &c, &d) && a & 1u << 5 /* AVX512_BF16 */;
  return ATTN_CPU_X86_V3 | (v4 ? ATTN_CPU_X86_V4 : 0) | (dot ? ATTN_CPU_BF16_DOT : 0);
}

#elif defined(__aarch64__)
static uint32_t cpu_offers(void) {
  uint64_t isar1; /* Linux lets programs read it: the kernel answers */
  __asm__("mrs %0, ID_AA64ISAR1_EL1" : "=r"(isar1));
  return isar1 >> 44 & 0xf /* BF16 */ ? ATTN_CPU_BF16_DOT_ARM : 0;
}

#else /* RISC-V, WebAssembly: what the row names */
static uint32_t cpu_offers(void) { return 0; }
#endif

/* The best variant that runs here, or the one named; n_variants with the error set if there is none. */
static uint32_t choose_variant(const char *name, attn_error *error) {
  const attn_library *library = attn_descriptor.library;
  uint32_t n = library->n_variants, offers = cpu_offers();
  int known = 0;
  for (uint32_t i = 0; i < n; ++i) {
    uint32_t needs = attn_descriptor.variants[i].needs;
    int runs = (offers & needs) == needs;
    if (name && !same_text(name, library->variants[i].name))
      continue;
    known = 1;
    if (runs)
      return i;
  }
  text t = begin(error, ATTN_CPU_UNSUPPORTED);
  if (!name) {
    put(&t, "this CPU runs no variant of the file: expected ");
  } else if (known) {
    put(&t, "this CPU does not run variant '");
    put(&t, name);
    put(&t, "': expected one of ");
  } else {
    put(&t, "the file has no variant '");
    put(&t, name);
    put(&t, "': expected one of ");
  }
  for (uint32_t i = 0; i < n; ++i) {
    if (i)
      put(&t, ", ");
    put(&t, library->variants[i].name);
  }
  if (!name)
    put(&t, n > 1 ? " (any of them)" : "");
  end(&t);
  return n;
}

/* ---- Weights ---------------------------------------------------------------------------------------- */

/* Header of the packed weights: magic, size, build. Their hash is `attn-run --verify`'s business. */
static int32_t check_weights(const attn_weights_header *header, attn_error *error) {
  const attn_library *library = attn_descriptor.library;
  if (header->magic != ATTN_WEIGHTS_MAGIC)
    return fail_with(error, ATTN_CORRUPT_FILE, "weights: expected packed weights, got another magic number");
  if (header->bytes != library->weights_bytes) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "weights: expected ");
    put_uint(&t, library->weights_bytes);
    put(&t, " bytes, got ");
    put_uint(&t, header->bytes);
    return end(&t);
  }
  if (memcmp(header->build_id, library->build_id, sizeof header->build_id) != 0) {
    char given[sizeof header->build_id + 1];
    memcpy(given, header->build_id, sizeof header->build_id);
    given[sizeof header->build_id] = '\0';
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "weights: expected those of build ");
    put(&t, library->build_id);
    put(&t, ", got ");
    put(&t, given);
    return end(&t);
  }
  return ATTN_OK;
}

static int32_t find_weights(const void *given, uint64_t given_bytes, const void **weights, attn_error *error) {
  const attn_library *library = attn_descriptor.library;
  *weights = NULL;
  if (!library->weights_bytes)
    return ATTN_OK;
  if (!given) {
    if (!library->weights) {
      text t = begin(error, ATTN_CORRUPT_FILE);
      put(&t, "weights: expected the file '");
      put(&t, library->weights_file ? library->weights_file : "");
      put(&t, "' beside the model, got none");
      return end(&t);
    }
    given = library->weights;
  } else if (given_bytes != library->weights_bytes) {
    text t = begin(error, ATTN_CORRUPT_FILE);
    put(&t, "weights: expected ");
    put_uint(&t, library->weights_bytes);
    put(&t, " bytes, got ");
    put_uint(&t, given_bytes);
    return end(&t);
  } else if ((uintptr_t)given % 64 != 0) {
    return fail_with(error, ATTN_INVALID_ARGUMENT, "weights: expected memory aligned to 64 bytes");
  }
  *weights = given;
  return check_weights(given, error);
}

/* ---- External functions ------------------------------------------------------------------------------ */

static int32_t resolve_externals(attn_model *m, attn_error *error) {
  for (uint64_t i = 0; i < attn_descriptor.n_externals; ++i) {
    const char *name = attn_descriptor.externals[i];
    m->externals[i] = m->host.resolve ? m->host.resolve(m->host.ctx, name) : NULL;
    if (m->externals[i])
      continue;
    text t = begin(error, ATTN_INVALID_ARGUMENT);
    put(&t, "host: expected resolve to find the external function '");
    put(&t, name);
    put(&t, m->host.resolve ? "', got null" : "', got no resolve");
    return end(&t);
  }
  return ATTN_OK;
}

/* ---- open and close --------------------------------------------------------------------------------- */

static const DLDevice cpu = {kDLCPU, 0};

static void release(attn_model *model) { model->host.free(model->host.ctx, cpu, model); }

int32_t attn_library_open(const attn_host *host, const attn_open_options *given, attn_model **model,
                          attn_error *error) {
  if (!host || !model)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "open: expected a host and a place for the model, got null");
  *model = NULL;
  attn_host copy;
  attn_open_options options;
  memset(&copy, 0, sizeof copy);
  memset(&options, 0, sizeof options);
  options.device = cpu;
  memcpy(&copy, host, host->size < sizeof copy ? host->size : sizeof copy);
  if (given)
    memcpy(&options, given, given->size < sizeof options ? given->size : sizeof options);
  copy.size = sizeof copy;
  if (!copy.alloc || !copy.free)
    return fail_with(error, ATTN_INVALID_ARGUMENT, "host: expected alloc and free, got null");
  if (!copy.parallel_for || copy.workers == 0)
    copy.workers = 1;
  uint32_t variant = choose_variant(options.variant, error);
  if (variant == attn_descriptor.library->n_variants)
    return ATTN_CPU_UNSUPPORTED;
  const void *weights;
  int32_t status = find_weights(options.weights, options.weights_bytes, &weights, error);
  if (status != ATTN_OK)
    return status;
  uint64_t bytes = sizeof(attn_model) + attn_descriptor.n_externals * sizeof(attn_external_fn);
  attn_model *m = copy.alloc(copy.ctx, cpu, bytes, _Alignof(attn_model));
  if (!m)
    return fail_with(error, ATTN_OUT_OF_MEMORY, "open: out of memory");
  m->host = copy;
  m->variant = attn_descriptor.library->variants[variant].name;
  m->code = attn_descriptor.variants[variant].entries;
  m->weights = weights;
  m->device = NULL;
  if ((status = resolve_externals(m, error)) != ATTN_OK || (status = device_open(m, options.device, error)) != ATTN_OK) {
    release(m);
    return status;
  }
  *model = m;
  return ATTN_OK;
}

void attn_library_close(attn_model *model) {
  if (!model)
    return;
  device_close(model);
  release(model);
}

const char *attn_library_variant(const attn_model *model) { return model ? model->variant : NULL; }

__attribute__((visibility("default"))) const attn_library *attn_query(uint32_t max_abi) {
  return max_abi < ATTN_ABI_VERSION ? NULL : attn_descriptor.library;
}
