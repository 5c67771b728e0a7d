/* file.c: loading a model file, its weights, and checking both. */
#define _GNU_SOURCE
#include "attn_runtime.h"
#include "elf_check.h"

#define XXH_INLINE_ALL
#include <xxhash.h>

#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

struct attn_file {
  char *path;
  void *handle; /* dlopen; NULL when linked in */
  const attn_library *library;
  const void *weights; /* mapping of weights beside the file; NULL: not mapped */
};

/* ---- The library's table ---------------------------------------------------------------------------- */

const attn_entry *attn_library_entry(const attn_library *library, uint32_t i) {
  return (const attn_entry *)((const char *)library->entries + (size_t)i * library->entries[0].size);
}

int64_t attn_library_find(const attn_library *library, const char *name) {
  for (uint32_t i = 0; i < library->n_entries; ++i)
    if (strcmp(attn_library_entry(library, i)->name, name) == 0)
      return i;
  return -1;
}

uint32_t attn_library_files(const attn_library *library, const attn_embedded_file **files) {
  int has_files = library->size >= offsetof(attn_library, files) + sizeof library->files;
  *files = has_files ? library->files : NULL;
  return has_files ? library->n_files : 0;
}

static int check_files(const attn_library *library) {
  const attn_embedded_file *files;
  uint32_t n = attn_library_files(library, &files);
  if (n && !files)
    return 0;
  for (uint32_t i = 0; i < n; ++i)
    if (!files[i].name || (files[i].bytes && !files[i].data))
      return 0;
  return 1;
}

static int check_tensors(const attn_tensor_info *infos, uint32_t n, uint32_t n_dims) {
  for (uint32_t i = 0; i < n; ++i) {
    if (!infos[i].name || infos[i].rank < 0 || infos[i].rank > ATTN_MAX_RANK)
      return 0;
    for (int32_t d = 0; d < infos[i].rank; ++d)
      if (infos[i].dims[d] < -(int64_t)n_dims)
        return 0;
  }
  return 1;
}

static int check_entry(const attn_entry *e) {
  if (!e->name || (e->n_dims && !e->dims) || (e->n_in && !e->in) || (e->n_out && !e->out))
    return 0;
  for (uint32_t d = 0; d < e->n_dims; ++d)
    if (!e->dims[d].name || e->dims[d].min < 0 || e->dims[d].max < e->dims[d].min)
      return 0;
  return check_tensors(e->in, e->n_in, e->n_dims) && check_tensors(e->out, e->n_out, e->n_dims);
}

/* Guards against a file whose table was damaged or written by hand; a hostile one needs no table to do harm. */
static int32_t check_library(const char *path, const attn_library *l, attn_error *error) {
  if (!l)
    return attn_fail(error, ATTN_ABI_MISMATCH, "'%s' needs a newer ABI than version %u: update the runtime", path,
                     ATTN_ABI_VERSION);
  if (l->size < offsetof(attn_library, name) || l->abi != ATTN_ABI_VERSION)
    return attn_fail(error, ATTN_ABI_MISMATCH, "'%s' has another ABI: expected version %u, got %u; compile it again",
                     path, ATTN_ABI_VERSION, l->size < offsetof(attn_library, name) ? 0 : l->abi);
  size_t least = offsetof(attn_library, run) + sizeof l->run; /* of version 1's first files */
  if (l->size < least)
    return attn_fail(error, ATTN_ABI_MISMATCH, "'%s' has a short table: expected %zu bytes, got %u", path, least,
                     l->size);
  const char *bad = NULL;
  if (!l->name || !l->json || !l->build_id || strlen(l->build_id) != 32)
    bad = "name, build id or metadata missing";
  else if (!l->n_entries || !l->entries || !l->n_variants || !l->variants)
    bad = "no entries or no variants";
  else if (!l->open || !l->close || !l->variant || !l->infer_dims || !l->workspace_bytes || !l->state_bytes ||
           !l->state_init || !l->state_attach || !l->state_op || !l->run)
    bad = "a function is missing";
  else if (l->weights_bytes && l->weights_bytes < sizeof(attn_weights_header))
    bad = "weights smaller than their header";
  else if (l->weights_bytes && !l->weights && (!l->weights_file || !*l->weights_file))
    bad = "weights are neither inside nor beside the file";
  else if (l->entries[0].size < sizeof(attn_entry) || l->entries[0].size % _Alignof(attn_entry) != 0)
    bad = "entries of unexpected size";
  else if (!check_files(l))
    bad = "a damaged embedded file";
  for (uint32_t i = 0; !bad && i < l->n_variants; ++i)
    if (!l->variants[i].name)
      bad = "a variant without name";
  for (uint32_t i = 0; !bad && i < l->n_entries; ++i)
    if (!check_entry(attn_library_entry(l, i)))
      bad = "a damaged entry";
  if (bad)
    return attn_fail(error, ATTN_CORRUPT_FILE, "'%s' has a damaged table: %s", path, bad);
  return ATTN_OK;
}

/* ---- Load ------------------------------------------------------------------------------------------- */

static int32_t make_file(const char *path, void *handle, const attn_library *library, attn_file **file,
                         attn_error *error) {
  *file = calloc(1, sizeof **file);
  char *copy = strdup(path);
  if (!*file || !copy) {
    free(*file);
    free(copy);
    *file = NULL;
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  }
  **file = (attn_file){.path = copy, .handle = handle, .library = library};
  return ATTN_OK;
}

int32_t attn_file_load(const char *path, attn_file **file, attn_error *error) {
  *file = NULL;
  int32_t status = attn_elf_check(path, error);
  if (status != ATTN_OK)
    return status;
  /* Without a slash, dlopen would search the library path. */
  char *local = NULL;
  if (!strchr(path, '/')) {
    if (!(local = malloc(strlen(path) + 3)))
      return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
    strcpy(local, "./");
    strcat(local, path);
  }
  void *handle = dlopen(local ? local : path, RTLD_NOW | RTLD_LOCAL);
  free(local);
  if (!handle)
    return attn_fail(error, ATTN_CORRUPT_FILE, "could not load '%s': %s", path, dlerror());
  attn_query_fn query;
  *(void **)&query = dlsym(handle, "attn_query"); /* POSIX's way from void * to a function */
  if (!query) {
    status = attn_fail(error, ATTN_INVALID_ARGUMENT, "'%s' is not a model file: it has no symbol attn_query", path);
  } else {
    const attn_library *library = query(ATTN_ABI_VERSION);
    status = check_library(path, library, error);
    if (status == ATTN_OK)
      status = make_file(path, handle, library, file, error);
  }
  if (status != ATTN_OK)
    dlclose(handle);
  return status;
}

int32_t attn_file_link(attn_query_fn query, const char *path, attn_file **file, attn_error *error) {
  *file = NULL;
  const attn_library *library = query(ATTN_ABI_VERSION);
  int32_t status = check_library(path ? path : "the linked model", library, error);
  return status == ATTN_OK ? make_file(path ? path : "", NULL, library, file, error) : status;
}

void attn_file_free(attn_file *file) {
  if (!file)
    return;
  if (file->weights)
    munmap((void *)file->weights, (size_t)file->library->weights_bytes);
  if (file->handle)
    dlclose(file->handle);
  free(file->path);
  free(file);
}

const attn_library *attn_file_library(const attn_file *file) { return file->library; }
const char *attn_file_path(const attn_file *file) { return file->path; }

/* ---- Weights ---------------------------------------------------------------------------------------- */

/* Maps the weights beside the model file, once. Their size is checked; their contents are open's business. */
static int32_t map_weights(attn_file *file, attn_error *error) {
  const attn_library *l = file->library;
  if (file->weights || l->weights || !l->weights_bytes)
    return ATTN_OK;
  const char *slash = l->weights_file[0] == '/' ? NULL : strrchr(file->path, '/');
  size_t directory = slash ? (size_t)(slash + 1 - file->path) : 0;
  char *path = malloc(directory + strlen(l->weights_file) + 1);
  if (!path)
    return attn_fail(error, ATTN_OUT_OF_MEMORY, "out of memory");
  memcpy(path, file->path, directory);
  strcpy(path + directory, l->weights_file);

  int32_t status = ATTN_OK;
  struct stat info;
  void *memory = MAP_FAILED;
  int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK); /* a pipe with this name must not block */
  if (fd < 0 || fstat(fd, &info) != 0)
    status = attn_fail(error, ATTN_IO, "could not open the model's weights '%s': %s", path, strerror(errno));
  else if (!S_ISREG(info.st_mode))
    status = attn_fail(error, ATTN_IO, "could not read the model's weights '%s': not a file", path);
  else if ((uint64_t)info.st_size != l->weights_bytes)
    status = attn_fail(error, ATTN_CORRUPT_FILE, "weights '%s' do not belong to the model: expected %llu bytes, got %lld",
                       path, (unsigned long long)l->weights_bytes, (long long)info.st_size);
  else if ((memory = mmap(NULL, (size_t)l->weights_bytes, PROT_READ, MAP_PRIVATE, fd, 0)) == MAP_FAILED)
    status = attn_fail(error, ATTN_IO, "could not map the model's weights '%s': %s", path, strerror(errno));
  else
    file->weights = memory;
  if (fd >= 0)
    close(fd);
  free(path);
  return status;
}

int32_t attn_file_open(attn_file *file, const attn_host *host, const char *variant, attn_model **model,
                       attn_error *error) {
  *model = NULL;
  int32_t status = map_weights(file, error);
  if (status != ATTN_OK)
    return status;
  attn_open_options options = {.size = sizeof options,
                               .variant = variant,
                               .weights = file->weights,
                               .weights_bytes = file->weights ? file->library->weights_bytes : 0,
                               .device = {kDLCPU, 0}};
  return file->library->open(host, &options, model, error);
}

int32_t attn_file_verify(attn_file *file, uint64_t *hash, attn_error *error) {
  const attn_library *l = file->library;
  if (hash)
    *hash = 0;
  if (!l->weights_bytes)
    return ATTN_OK;
  int32_t status = map_weights(file, error);
  if (status != ATTN_OK)
    return status;
  const char *weights = l->weights ? l->weights : file->weights;
  attn_weights_header header;
  memcpy(&header, weights, sizeof header);
  if (header.magic != ATTN_WEIGHTS_MAGIC)
    return attn_fail(error, ATTN_CORRUPT_FILE, "weights have the wrong magic: expected %016llx, got %016llx",
                     ATTN_WEIGHTS_MAGIC, (unsigned long long)header.magic);
  if (memcmp(header.build_id, l->build_id, sizeof header.build_id) != 0)
    return attn_fail(error, ATTN_CORRUPT_FILE, "weights are of another build: expected %s, got %.32s", l->build_id,
                     header.build_id);
  if (header.bytes != l->weights_bytes)
    return attn_fail(error, ATTN_CORRUPT_FILE, "weights have the wrong size: expected %llu bytes, got %llu",
                     (unsigned long long)l->weights_bytes, (unsigned long long)header.bytes);
  uint64_t actual = XXH3_64bits(weights + sizeof header, (size_t)(l->weights_bytes - sizeof header));
  if (actual != header.hash)
    return attn_fail(error, ATTN_CORRUPT_FILE, "weights are damaged: expected hash %016llx, got %016llx",
                     (unsigned long long)header.hash, (unsigned long long)actual);
  if (hash)
    *hash = actual;
  return ATTN_OK;
}
