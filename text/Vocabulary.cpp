//===- Vocabulary.cpp - Tokens and their ids ------------------------------------------------------------===//

#include "Vocabulary.h"

#include <algorithm>

namespace attn::text {

void Vocabulary::reserve(size_t n) {
  tokens.reserve(n);
  ids.reserve(n);
}

bool Vocabulary::add(std::string token, TokenId id) {
  auto [place, isNew] = tokens.try_emplace(id, std::move(token));
  if (!isNew)
    return false;
  ids[place->second] = id;
  largest = std::max(largest, id);
  return true;
}

Status Vocabulary::read(const JsonRef &object) {
  if (Status status = object.expectObject(); !status)
    return status;
  reserve(object->size());
  for (const auto &[token, value] : object->items()) {
    Expected<int64_t> id = JsonRef(value, "").id();
    if (!id)
      return object.fail(inQuotes(token) + id.error().text);
    if (!add(token, *id))
      return object.fail("tokens " + inQuotes(*tokenOf(*id)) + " and " + inQuotes(token) + " both have id " +
                         std::to_string(*id));
  }
  return {};
}

Expected<TokenId> Vocabulary::idNamedBy(const JsonRef &member) const {
  Expected<std::string> name = member.string();
  if (!name)
    return name.error();
  std::optional<TokenId> id = idOf(*name);
  if (!id)
    return member.fail(inQuotes(*name) + " is not in the vocabulary");
  return *id;
}

bool Vocabulary::appendByteTokens(std::string_view text, std::vector<TokenId> &out) const {
  size_t before = out.size();
  for (char c : text) {
    static const char digits[] = "0123456789ABCDEF";
    auto byte = static_cast<uint8_t>(c);
    const char name[] = {'<', '0', 'x', digits[byte >> 4], digits[byte & 15], '>'};
    std::optional<TokenId> id = idOf(std::string_view(name, sizeof name));
    if (!id) {
      out.resize(before);
      return false;
    }
    out.push_back(*id);
  }
  return true;
}

} // namespace attn::text
