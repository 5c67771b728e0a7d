//===- Regex.cpp - Unicode regular expressions ---------------------------------------------------------===//

#include "Regex.h"

#include "Json.h"

#include <algorithm>

#define PCRE2_CODE_UNIT_WIDTH 8
#include <pcre2.h>

namespace attn::text {

static std::string pcreMessage(int code) {
  PCRE2_UCHAR buffer[256];
  if (pcre2_get_error_message(code, buffer, sizeof buffer) < 0)
    return "pcre2 error " + std::to_string(code);
  return reinterpret_cast<const char *>(buffer);
}

Expected<Regex> Regex::compile(std::string_view pattern, Place place) {
  int error = 0;
  size_t offset = 0;
  pcre2_code *code =
      pcre2_compile(reinterpret_cast<PCRE2_SPTR>(pattern.data()), pattern.size(),
                    PCRE2_UTF | PCRE2_UCP | (place == AtPosition ? PCRE2_ANCHORED : 0), &error, &offset, nullptr);
  if (!code)
    return Error{"regular expression " + inQuotes(pattern) + ": " + pcreMessage(error) + " at byte " +
                 std::to_string(offset)};
  // Machine code where PCRE2 has a compiler for this CPU; otherwise, or for a pattern too large, its interpreter.
  (void)pcre2_jit_compile(code, PCRE2_JIT_COMPLETE);
  return Regex(std::shared_ptr<void>(code, [](void *p) { pcre2_code_free(static_cast<pcre2_code *>(p)); }));
}

Expected<std::optional<std::pair<size_t, size_t>>> Regex::find(std::string_view text, size_t position) const {
  using Match = std::optional<std::pair<size_t, size_t>>;
  auto *compiled = static_cast<const pcre2_code *>(code.get());
  // Per thread, so that a Regex can be shared: pcre2_match keeps its backtracking memory in here.
  struct Freer {
    void operator()(pcre2_match_data *data) const { pcre2_match_data_free(data); }
  };
  static thread_local std::unique_ptr<pcre2_match_data, Freer> scratch(pcre2_match_data_create(1, nullptr));
  if (!scratch)
    return Error{"out of memory for a regular expression"};

  auto match = [&](uint32_t options) {
    return pcre2_match(compiled, reinterpret_cast<PCRE2_SPTR>(text.data()), text.size(), position,
                       PCRE2_NO_UTF_CHECK | options, scratch.get(), nullptr);
  };
  int result = match(0);
  if (result == PCRE2_ERROR_JIT_STACKLIMIT) // 32 KiB; the interpreter's memory is on the heap
    result = match(PCRE2_NO_JIT);
  if (result == PCRE2_ERROR_NOMATCH)
    return Match();
  if (result < 0)
    return Error{"regular expression failed at byte " + std::to_string(position) +
                 " of the text: " + pcreMessage(result)};
  const size_t *ends = pcre2_get_ovector_pointer(scratch.get());
  return Match({ends[0], std::max(ends[0], ends[1])}); // \K in a lookahead can swap them
}

Expected<std::optional<size_t>> Regex::matchAt(std::string_view text, size_t position) const {
  auto match = find(text, position);
  if (!match)
    return match.error();
  return *match ? std::optional<size_t>((*match)->second - position) : std::nullopt;
}

std::string fromOniguruma(std::string_view pattern) {
  static const std::pair<std::string_view, std::string_view> classes[] = {
      {"\\p{L}", ATTN_LETTERS},
      {"\\p{N}", ATTN_NUMBERS},
      {"\\s", ATTN_SPACES},
      {"\\w", "\\p{L}\\p{M}\\p{Nd}\\p{Pc}" ATTN_NEW_WORD_CHARACTERS},
  };
  std::string result;
  bool inBrackets = false;
  for (size_t i = 0; i < pattern.size();) {
    if (pattern[i] != '\\' || i + 1 == pattern.size()) {
      if (pattern[i] == '[')
        inBrackets = true;
      else if (pattern[i] == ']')
        inBrackets = false;
      result += pattern[i++];
      continue;
    }
    std::string_view rest = pattern.substr(i);
    size_t length = 0;
    for (auto [name, members] : classes) {
      if (rest.substr(0, name.size()) != name)
        continue;
      length = name.size();
      result.append(inBrackets ? "" : "[").append(members).append(inBrackets ? "" : "]");
      break;
    }
    if (length == 0 && !inBrackets && rest.substr(0, 2) == "\\S") {
      length = 2;
      result += "[^" ATTN_SPACES "]";
    }
    if (length == 0) { // another escape, which may be of a bracket
      length = 2;
      result.append(rest.substr(0, length));
    }
    i += length;
  }
  return result;
}

} // namespace attn::text
