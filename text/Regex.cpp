//===- Regex.cpp - Unicode regular expressions ---------------------------------------------------------===//

#include "Regex.h"

#include "Json.h"

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace attn::text {

static std::string pcreMessage(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0)
    return "pcre2 error " + std::to_string(code);
  return reinterpret_cast<const char *>(buffer);
}

Expected<Regex> Regex::compile(std::string_view pattern) {
  int error = 0;
  size_t offset = 0;
  pcre2_code *code = pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                                   PCRE2_UTF | PCRE2_UCP | PCRE2_ANCHORED, &error, &offset, nullptr);
  if (!code)
    return Error{"regular expression " + inQuotes(pattern) + ": " + pcreMessage(error) + " at byte " +
                 std::to_string(offset)};
  return Regex(std::shared_ptr<void>(code, [](void *p) { pcre2_code_free(static_cast<pcre2_code *>(p)); }));
}

Expected<std::optional<size_t>> Regex::matchAt(std::string_view text, size_t position) const {
  auto *compiled = static_cast<const pcre2_code *>(code.get());
  // Per thread, so that a Regex can be shared: pcre2_match keeps its backtracking memory in here.
  struct Freer {
    void operator()(pcre2_match_data *data) const { pcre2_match_data_free(data); }
  };
  static thread_local std::unique_ptr<pcre2_match_data, Freer> scratch(pcre2_match_data_create(1, nullptr));
  if (!scratch)
    return Error{"out of memory for a regular expression"};

  int result = pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                           PCRE2_NO_UTF_CHECK, scratch.get(), nullptr);
  if (result == PCRE2_ERROR_NOMATCH)
    return std::optional<size_t>();
  if (result < 0)
    return Error{"regular expression failed at byte " + std::to_string(position) +
                 " of the text: " + pcreMessage(result)};
  return std::optional<size_t>(pcre2_get_ovector_pointer(scratch.get())[1] - position);
}

} // namespace attn::text
