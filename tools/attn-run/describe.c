/* describe.c: attn-run --describe. */
#include "describe.h"
#include "json_string.h"

#include <string.h>
#include <sys/stat.h>

static void print_bytes(uint64_t bytes, FILE *stream) {
  static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB"};
  double value = (double)bytes;
  int unit = 0;
  for (; value >= 1024 && unit < 4; ++unit)
    value /= 1024;
  fprintf(stream, unit ? "%.1f %s" : "%.0f %s", value, units[unit]);
}

void print_tensor_type(const attn_entry *entry, const attn_tensor_info *info, FILE *stream) {
  fprintf(stream, "%s [", attn_dtype_name(info->dtype));
  for (int32_t d = 0; d < info->rank; ++d) {
    int64_t dim = info->dims[d];
    if (dim < 0)
      fprintf(stream, "%s%s", d ? ", " : "", entry->dims[-1 - dim].name);
    else
      fprintf(stream, "%s%lld", d ? ", " : "", (long long)dim);
  }
  fputs("]", stream);
}

static uint64_t file_bytes(const attn_file *file) {
  struct stat info;
  return stat(attn_file_path(file), &info) == 0 ? (uint64_t)info.st_size : 0;
}

/* ---- Text ------------------------------------------------------------------------------------------- */

static void entry_text(const attn_entry *e, FILE *stream) {
  fprintf(stream, "\nentry %s%s%s\n", e->name, e->uses_state ? ", uses a state" : "",
          e->uses_state & ATTN_STATE_FILLS_CROSS   ? ", fills its cross part"
          : e->uses_state & ATTN_STATE_READS_CROSS ? " and its cross part"
                                                   : "");
  for (uint32_t i = 0; i < e->n_in; ++i) {
    fprintf(stream, "  %s: ", e->in[i].name);
    print_tensor_type(e, &e->in[i], stream);
    fprintf(stream, "%s%s\n", e->in[i].flags & ATTN_TENSOR_INT32 ? " or int32" : "",
            e->in[i].flags & ATTN_TENSOR_OPTIONAL ? ", optional" : "");
  }
  for (uint32_t i = 0; i < e->n_out; ++i) {
    fprintf(stream, "  -> %s: ", e->out[i].name);
    print_tensor_type(e, &e->out[i], stream);
    fputs("\n", stream);
  }
  for (uint32_t d = 0; d < e->n_dims; ++d)
    fprintf(stream, "%s%s %lld to %lld", d ? ", " : "  where ", e->dims[d].name, (long long)e->dims[d].min,
            (long long)e->dims[d].max);
  if (e->n_dims)
    fputs("\n", stream);
}

void describe_text(const attn_file *file, const char *chosen, FILE *stream) {
  const attn_library *l = attn_file_library(file);
  fprintf(stream, "%s\n  build     %s, ABI %u\n  file      %s, ", l->name, l->build_id, l->abi, attn_file_path(file));
  print_bytes(file_bytes(file), stream);
  fputs("\n  weights   ", stream);
  if (l->weights_bytes)
    print_bytes(l->weights_bytes, stream);
  fprintf(stream, "%s%s\n  variants  ",
          !l->weights_bytes ? "none"
          : l->weights      ? ", inside the file"
                            : ", beside the file in ",
          l->weights_bytes && !l->weights ? l->weights_file : "");
  for (uint32_t i = 0; i < l->n_variants; ++i)
    fprintf(stream, "%s%s", i ? ", " : "", l->variants[i].name);
  fprintf(stream, " (this machine: %s)\n", chosen ? chosen : "none");
  const attn_embedded_file *files;
  for (uint32_t i = 0, n = attn_library_files(l, &files); i < n; ++i) {
    fprintf(stream, "%s%s, ", i ? "            " : "  files     ", files[i].name);
    print_bytes(files[i].bytes, stream);
    fputs("\n", stream);
  }
  for (uint32_t i = 0; i < l->n_entries; ++i)
    entry_text(attn_library_entry(l, i), stream);
}

/* ---- JSON ------------------------------------------------------------------------------------------- */

static void json_tensors(const char *key, const attn_entry *e, const attn_tensor_info *infos, uint32_t n,
                         FILE *stream) {
  fprintf(stream, ", \"%s\": [", key);
  for (uint32_t i = 0; i < n; ++i) {
    fputs(i ? ", {\"name\": " : "{\"name\": ", stream);
    json_string(infos[i].name, stream);
    fprintf(stream, ", \"dtype\": \"%s\", \"shape\": [", attn_dtype_name(infos[i].dtype));
    for (int32_t d = 0; d < infos[i].rank; ++d) {
      fputs(d ? ", " : "", stream);
      if (infos[i].dims[d] < 0)
        json_string(e->dims[-1 - infos[i].dims[d]].name, stream);
      else
        fprintf(stream, "%lld", (long long)infos[i].dims[d]);
    }
    fprintf(stream, "], \"optional\": %s%s}", infos[i].flags & ATTN_TENSOR_OPTIONAL ? "true" : "false",
            infos[i].flags & ATTN_TENSOR_INT32 ? ", \"int32\": true" : "");
  }
  fputs("]", stream);
}

static void json_entry(const attn_entry *e, FILE *stream) {
  fputs("{\"name\": ", stream);
  json_string(e->name, stream);
  fprintf(stream, ", \"uses_state\": %s", e->uses_state ? "true" : "false");
  if (e->uses_state & (ATTN_STATE_READS_CROSS | ATTN_STATE_FILLS_CROSS))
    fprintf(stream, ", \"%s_cross\": true", e->uses_state & ATTN_STATE_READS_CROSS ? "reads" : "fills");
  fputs(", \"dims\": [", stream);
  for (uint32_t d = 0; d < e->n_dims; ++d) {
    fputs(d ? ", {\"name\": " : "{\"name\": ", stream);
    json_string(e->dims[d].name, stream);
    fprintf(stream, ", \"min\": %lld, \"max\": %lld}", (long long)e->dims[d].min, (long long)e->dims[d].max);
  }
  fputs("]", stream);
  json_tensors("inputs", e, e->in, e->n_in, stream);
  json_tensors("outputs", e, e->out, e->n_out, stream);
  fputs("}", stream);
}

void describe_json(const attn_file *file, const char *chosen, FILE *stream) {
  const attn_library *l = attn_file_library(file);
  fputs("{\"name\": ", stream);
  json_string(l->name, stream);
  fprintf(stream, ", \"abi\": %u, \"build_id\": ", l->abi);
  json_string(l->build_id, stream);
  fprintf(stream, ", \"file_bytes\": %llu, \"weights_bytes\": %llu, \"weights_file\": ",
          (unsigned long long)file_bytes(file), (unsigned long long)l->weights_bytes);
  json_string(l->weights_file, stream);
  fputs(", \"variants\": [", stream);
  for (uint32_t i = 0; i < l->n_variants; ++i) {
    fputs(i ? ", " : "", stream);
    json_string(l->variants[i].name, stream);
  }
  fputs("], \"variant\": ", stream);
  json_string(chosen, stream);
  fputs(", \"files\": [", stream);
  const attn_embedded_file *files;
  for (uint32_t i = 0, n = attn_library_files(l, &files); i < n; ++i) {
    fputs(i ? ", {\"name\": " : "{\"name\": ", stream);
    json_string(files[i].name, stream);
    fprintf(stream, ", \"bytes\": %llu}", (unsigned long long)files[i].bytes);
  }
  fputs("], \"entries\": [", stream);
  for (uint32_t i = 0; i < l->n_entries; ++i) {
    fputs(i ? ",\n " : "\n ", stream);
    json_entry(attn_library_entry(l, i), stream);
  }
  fprintf(stream, "\n], \"metadata\": %s}\n", attn_json_valid(l->json) ? l->json : "null");
}
