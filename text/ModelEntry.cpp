//===- ModelEntry.cpp - Finding and calling the entries of a model file ----------------------------------===//

#include "ModelEntry.h"

#include "Json.h"

#include <cstring>

namespace attn::text {

int64_t upperBound(const attn_entry &entry, const attn_tensor_info &info, int d) {
  int64_t dim = info.dims[d];
  return dim >= 0 ? dim : entry.dims[-1 - dim].max;
}

Expected<uint32_t> findEntryNumber(const attn_library *library, const char *name) {
  int64_t number = attn_library_find(library, name);
  if (number >= 0)
    return static_cast<uint32_t>(number);
  std::string known;
  for (uint32_t i = 0; i < library->n_entries; ++i)
    known += (i ? ", " : "") + std::string(attn_library_entry(library, i)->name);
  return Error{"the model has no entry " + inQuotes(name) + "; it has: " + (known.empty() ? "none" : known)};
}

Expected<uint32_t> findTensor(const attn_tensor_info *infos, uint32_t n, const char *name, const std::string &where) {
  for (uint32_t i = 0; i < n; ++i)
    if (std::strcmp(infos[i].name, name) == 0)
      return i;
  return Error{where + " has no '" + name + "'"};
}

Expected<uint32_t> findIds(const attn_entry *entry, const char *name, const std::string &where) {
  Expected<uint32_t> ids = findTensor(entry->in, entry->n_in, name, where);
  if (!ids)
    return ids;
  const attn_tensor_info &in = entry->in[*ids];
  if (in.dtype.code != kDLInt || in.dtype.bits != 64 || in.dtype.lanes != 1 || in.rank != 2)
    return Error{where + ": expected " + name + " of type int64 and rank 2, got " + attn_dtype_name(in.dtype) +
                 " and rank " + std::to_string(in.rank)};
  return ids;
}

Expected<OwnedSession> createSession(const attn_library *library, const attn_model *model, const attn_host *host) {
  attn_session *session = nullptr;
  attn_error error = emptyError();
  if (attn_session_create(library, model, host, &session, &error) != ATTN_OK)
    return errorOf(error);
  return OwnedSession(session);
}

} // namespace attn::text
