//===- WordCache.h - The ids of words seen before ----------------------------------------------------------===//
#ifndef ATTN_TEXT_WORDCACHE_H
#define ATTN_TEXT_WORDCACHE_H

#include "TokenizerParts.h"

#include <memory>
#include <mutex>

namespace attn::text {

/// Remembers the ids of short words: most words of a text come again, and looking one up is faster than the
/// model. A word has one place, by its hash; the word that was there is forgotten.
class WordCache {
public:
  /// Appends the ids that `model` gives for `word`.
  Status tokenize(const TokenModel &model, std::string_view word, std::vector<TokenId> &ids) {
    while (!word.empty()) {
      size_t length = model.independentStart(word);
      if (Status status = tokenizePart(model, word.substr(0, length), ids); !status)
        return status;
      word.remove_prefix(length);
    }
    return {};
  }

private:
  Status tokenizePart(const TokenModel &model, std::string_view word, std::vector<TokenId> &ids) {
    if (word.size() > maxWordBytes)
      return model.tokenize(word, ids);
    Entry &entry = entries[std::hash<std::string_view>()(word) % entries.size()];
    if (entry.word == word) { // no word is empty
      ids.insert(ids.end(), entry.ids.begin(), entry.ids.end());
      return {};
    }
    size_t before = ids.size();
    if (Status status = model.tokenize(word, ids); !status)
      return status;
    entry.word = word;
    entry.ids.assign(ids.begin() + static_cast<std::ptrdiff_t>(before), ids.end());
    return {};
  }

  static constexpr size_t maxWordBytes = 64;
  struct Entry {
    std::string word;
    std::vector<TokenId> ids;
  };
  std::vector<Entry> entries{size_t(1) << 14};
};

/// The caches of one tokenizer: as many as there are threads in it at the same time.
class WordCaches {
public:
  std::unique_ptr<WordCache> take() {
    {
      std::lock_guard<std::mutex> lock(mutex);
      if (!idle.empty()) {
        std::unique_ptr<WordCache> cache = std::move(idle.back());
        idle.pop_back();
        return cache;
      }
    }
    return std::make_unique<WordCache>();
  }
  void giveBack(std::unique_ptr<WordCache> cache) {
    std::lock_guard<std::mutex> lock(mutex);
    idle.push_back(std::move(cache));
  }

private:
  std::mutex mutex;
  std::vector<std::unique_ptr<WordCache>> idle;
};

} // namespace attn::text

#endif // ATTN_TEXT_WORDCACHE_H
