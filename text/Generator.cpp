//===- Generator.cpp - Writing text with a model ---------------------------------------------------------===//

#include "Generator.h"

#include <algorithm>
#include <chrono>

namespace attn::text {

using Ids = std::vector<TokenId>;

static Error tooLong(const char *what, int64_t tokens, int64_t most) {
  return {std::string(what) + " has " + std::to_string(tokens) + " tokens, the model's context holds " +
          std::to_string(most)};
}

Status Generator::check(const Ids &prompt) const {
  int64_t encoderLength = model.encoderLength(), tokens = static_cast<int64_t>(prompt.size());
  if (prompt.empty())
    return Error{"the prompt has no tokens"};
  if (int64_t most = encoderLength ? encoderLength : model.contextLength(); tokens > most)
    return tooLong("the prompt", tokens, most);
  // An encoder may have a vocabulary of its own, which encode checks.
  for (TokenId id : prompt)
    if (id < 0 || (!encoderLength && id >= model.vocabularySize()))
      return Error{"token id " + std::to_string(id) + " of the prompt is outside the model's vocabulary of " +
                   std::to_string(model.vocabularySize())};
  return {};
}

namespace {

using Clock = std::chrono::steady_clock;

/// What lookup guesses: if the last `known` tokens stood somewhere before, the next `guessed` are those that followed. A
/// wrong guess costs time, so more is guessed where more is known. With the token before it a guess makes 2, 4 or 8 rows,
/// which the tiles of products divide: 3 rows take longer than 4.
constexpr struct {
  ptrdiff_t known, guessed;
} kGuesses[] = {{4, 7}, {2, 3}, {1, 1}};

double secondsSince(Clock::time_point begin) { return std::chrono::duration<double>(Clock::now() - begin).count(); }

/// One call of Generator::run.
class Run {
public:
  Run(StepModel &model, const std::vector<Ids> &prompts, const GenerateOptions &options)
      : model(model), prompts(prompts), options(options), beams(static_cast<size_t>(options.search.beams)),
        results(prompts.size()) {}

  Status run();
  std::vector<Generation> take() { return std::move(results); }

private:
  /// A prompt whose text is being written.
  struct Active {
    size_t prompt;
    bool contextBound; ///< the context ends before maxNewTokens
    std::unique_ptr<Search> search;
    std::vector<int32_t> slots; ///< of its rows
    size_t reported = 0;        ///< tokens that onToken has seen
    bool looksUp = true;        ///< if asked for; not where a wrong guess cannot be taken back
  };

  Ids start(size_t prompt) const { return model.encoderLength() ? options.decoderStart : prompts[prompt]; }
  Status admit();
  Status read(int32_t slot, size_t prompt, std::vector<float> &logits);
  Status step();
  Status retire();
  Ids lookUp(const Active &active) const;
  Status verify(Active &active, const Ids &ids);
  Status advance(Active &active, float *logits);
  Status moveRows(Active &active);
  int32_t takeSlot(const Ids &prefix);

  StepModel &model;
  const std::vector<Ids> &prompts;
  const GenerateOptions &options;
  size_t beams;
  std::vector<Generation> results;
  std::vector<Active> active;
  std::vector<Ids> held; ///< tokens in each slot, also after its text has ended
  std::vector<int32_t> freeSlots;
  size_t nextPrompt = 0;
  bool stopped = false;
};

} // namespace

static size_t commonPrefix(const Ids &a, const Ids &b) {
  size_t n = std::min(a.size(), b.size());
  return static_cast<size_t>(std::mismatch(a.begin(), a.begin() + static_cast<ptrdiff_t>(n), b.begin()).first - a.begin());
}

/// A free slot; rather not one whose tokens a later prompt could use, unless this one can: the best is given in `prefix`.
int32_t Run::takeSlot(const Ids &prefix) {
  auto shared = [&](int32_t slot) { return commonPrefix(held[static_cast<size_t>(slot)], prefix); };
  auto best = std::max_element(freeSlots.begin(), freeSlots.end(), [&](int32_t a, int32_t b) { return shared(a) < shared(b); });
  if (shared(*best) == 0)
    best = std::min_element(freeSlots.begin(), freeSlots.end(), [&](int32_t a, int32_t b) {
      return held[static_cast<size_t>(a)].size() < held[static_cast<size_t>(b)].size();
    });
  int32_t slot = *best;
  freeSlots.erase(best);
  return slot;
}

/// Brings a prompt into `slot`; `logits` receives those after its last token.
Status Run::read(int32_t slot, size_t prompt, std::vector<float> &logits) {
  Ids ids = start(prompt);
  Ids &tokens = held[static_cast<size_t>(slot)];
  size_t reused = 0;
  if (model.encoderLength()) {
    tokens.clear();
    if (Status status = model.clear(slot); !status)
      return status;
    if (Status status = model.encode(slot, prompts[prompt]); !status)
      return status;
  } else {
    // At least one token is read, for its logits.
    Ids most(ids.begin(), ids.end() - 1);
    size_t donor = static_cast<size_t>(slot);
    for (size_t other = 0; other < held.size(); ++other)
      if (commonPrefix(held[other], most) > commonPrefix(held[donor], most))
        donor = other;
    reused = commonPrefix(held[donor], most);
    if (reused && donor != static_cast<size_t>(slot)) {
      if (Status status = model.fork(slot, static_cast<int32_t>(donor)); !status)
        return status;
      tokens = held[donor];
    }
    // A window may have written over what would be needed.
    if (!reused || !model.truncate(slot, static_cast<int64_t>(reused))) {
      reused = 0;
      if (Status status = model.clear(slot); !status)
        return status;
    }
    tokens.resize(reused);
  }
  Expected<const float *> row = model.append({slot}, {ids.begin() + static_cast<ptrdiff_t>(reused), ids.end()});
  if (!row) {
    tokens.clear(); // whatever was appended is not looked at again
    return row.error();
  }
  tokens = std::move(ids);
  results[prompt].reusedTokens = static_cast<int64_t>(reused);
  logits.assign(*row, *row + model.vocabularySize());
  return {};
}

/// Reads waiting prompts while there are slots for them.
Status Run::admit() {
  while (!stopped && nextPrompt < prompts.size() && freeSlots.size() >= beams) {
    size_t prompt = nextPrompt++;
    Ids sequence = start(prompt);
    int64_t room = model.contextLength() - static_cast<int64_t>(sequence.size()) + 1; // the last one is not read
    Active made{prompt, room < options.maxNewTokens, nullptr, {}};
    made.search = createSearch(options.search, model.vocabularySize(), sequence, std::min(room, options.maxNewTokens),
                               options.search.seed + prompt);
    made.slots.push_back(takeSlot(sequence));
    std::vector<float> logits;
    auto begin = Clock::now();
    if (Status status = read(made.slots[0], prompt, logits); !status)
      return status;
    results[prompt].firstTokenSeconds = secondsSince(begin);
    while (made.slots.size() < beams) {
      made.slots.push_back(freeSlots.back());
      freeSlots.pop_back();
    }
    if (Status status = advance(made, logits.data()); !status)
      return status;
    if (made.search->next.empty())
      freeSlots.insert(freeSlots.end(), made.slots.begin(), made.slots.end());
    else
      active.push_back(std::move(made));
  }
  return {};
}

/// Shows the logits to the search, and its tokens to the caller.
Status Run::advance(Active &a, float *logits) {
  Generation &result = results[a.prompt];
  if (Status status = a.search->advance(logits); !status)
    return status;
  bool ended = a.search->next.empty();
  if (ended) {
    result.reason = a.search->reason();
    if (result.reason == StopReason::MaxNewTokens && a.contextBound)
      result.reason = StopReason::ContextFull;
    result.score = a.search->score();
  }
  if (ended || beams == 1) {
    result.ids = a.search->ids();
    for (; a.reported < result.ids.size() && !stopped; ++a.reported)
      stopped = options.onToken && !options.onToken(a.prompt, result.ids[a.reported]);
    if (stopped) {
      result.ids.resize(a.reported);
      result.reason = StopReason::Stopped;
    } else if (ended && options.onEnd) {
      options.onEnd(a.prompt, result);
    }
  }
  return ended ? Status() : moveRows(a);
}

/// Gives each of the next rows a slot with its parent's tokens. The first child of a row goes on in its slot, the others
/// fork into slots of rows without children.
Status Run::moveRows(Active &a) {
  const std::vector<Search::Row> &rows = a.search->next;
  constexpr int32_t none = -1;
  std::vector<int32_t> slots(rows.size(), none), unused;
  std::vector<bool> taken(a.slots.size(), false);
  // After the prompt all rows are its one sequence.
  bool first = results[a.prompt].decodeSteps == 0;
  auto parent = [&](size_t row) { return first ? 0u : static_cast<size_t>(rows[row].parent); };
  for (size_t row = 0; row < rows.size(); ++row)
    if (!taken[parent(row)]) {
      taken[parent(row)] = true;
      slots[row] = a.slots[parent(row)];
    }
  for (size_t i = 0; i < taken.size(); ++i)
    if (!taken[i])
      unused.push_back(a.slots[i]);
  for (size_t row = 0; row < rows.size(); ++row) {
    if (slots[row] != none)
      continue;
    slots[row] = unused.back();
    unused.pop_back();
    int32_t of = a.slots[parent(row)];
    if (Status status = model.fork(slots[row], of); !status)
      return status;
    held[static_cast<size_t>(slots[row])] = held[static_cast<size_t>(of)];
  }
  a.slots = std::move(slots);
  return {};
}

/// Tokens that may come after `sequence`, at most `most`: those after the latest place where its last ones stood before,
/// or stood in `article`.
static Ids guess(const Ids &article, const Ids &sequence, ptrdiff_t most) {
  for (auto [known, guessed] : kGuesses) {
    if (static_cast<ptrdiff_t>(sequence.size()) <= known)
      continue;
    auto found = [&, n = known](const Ids &text, Ids::const_iterator end) {
      auto at = std::find_end(text.begin(), end, sequence.end() - n, sequence.end());
      return at == end ? text.end() : at + n;
    };
    auto from = found(sequence, sequence.end() - 1), end = sequence.end();
    if (from == end) {
      from = found(article, article.end());
      end = article.end();
    }
    if (from != end)
      return {from, from + std::min({guessed, most, end - from})};
  }
  return {};
}

/// Reads the next token and a guess of what follows, and keeps what the search chooses, too.
Status Run::verify(Active &a, const Ids &ids) {
  Generation &result = results[a.prompt];
  int32_t slot = a.slots[0];
  Ids &tokens = held[static_cast<size_t>(slot)];
  auto begin = Clock::now();
  Expected<const float *> logits = model.verify(slot, ids);
  result.decodeSeconds += secondsSince(begin);
  if (!logits)
    return logits.error();
  ++result.decodeSteps;
  size_t vocabulary = static_cast<size_t>(model.vocabularySize()), read = 0;
  std::vector<float> rows(*logits, *logits + ids.size() * vocabulary); // searches rewrite their rows
  do {
    tokens.push_back(ids[read]);
    if (Status status = advance(a, rows.data() + read * vocabulary); !status)
      return status;
    ++read;
  } while (!stopped && !a.search->next.empty() && read < ids.size() && a.search->next[0].token == ids[read]);
  result.lookedUpTokens += static_cast<int64_t>(read) - 1;
  if (read == ids.size() || model.truncate(slot, static_cast<int64_t>(tokens.size())))
    return {};
  // A window has been written over: everything is read again, and the article, which clear takes away. Once is enough.
  a.looksUp = false;
  if (Status status = model.clear(slot); !status)
    return status;
  if (model.encoderLength())
    if (Status status = model.encode(slot, prompts[a.prompt]); !status)
      return status;
  logits = model.append({slot}, tokens);
  return logits ? Status() : logits.error();
}

/// The next token of the only sequence and a guess of what follows it; one token where there is none.
Ids Run::lookUp(const Active &a) const {
  Ids sequence = held[static_cast<size_t>(a.slots[0])], ids = {a.search->next[0].token};
  sequence.push_back(ids[0]);
  // So many that the slot holds them all, and no more than can be of use: the last new token is not read.
  int64_t written = static_cast<int64_t>(sequence.size() - start(a.prompt).size());
  int64_t room = model.contextLength() - static_cast<int64_t>(sequence.size());
  int64_t most = std::min({model.verifyLength() - 1, room, options.maxNewTokens - 1 - written});
  if (most <= 0)
    return ids;
  Ids guessed = guess(model.encoderLength() ? prompts[a.prompt] : Ids(), sequence, most);
  auto known = [&](TokenId id) { return id < model.vocabularySize(); }; // an article may have a vocabulary of its own
  ids.insert(ids.end(), guessed.begin(), std::find_if_not(guessed.begin(), guessed.end(), known));
  while (ids.size() & (ids.size() - 1)) // kGuesses: a power of two
    ids.pop_back();
  return ids;
}

/// One token for every row, or as many of the only row as were guessed.
Status Run::step() {
  if (options.lookup && active.size() == 1 && active[0].looksUp)
    if (Ids ids = lookUp(active[0]); ids.size() > 1) {
      if (Status status = verify(active[0], ids); !status || stopped)
        return status;
      return retire();
    }
  std::vector<int32_t> slots;
  Ids ids;
  for (const Active &a : active)
    for (size_t row = 0; row < a.slots.size(); ++row) {
      slots.push_back(a.slots[row]);
      ids.push_back(a.search->next[row].token);
    }
  auto begin = Clock::now();
  Expected<const float *> logits = model.append(slots, ids);
  double seconds = secondsSince(begin);
  if (!logits)
    return logits.error();
  for (size_t row = 0; row < slots.size(); ++row)
    held[static_cast<size_t>(slots[row])].push_back(ids[row]);

  // A copy, as searches rewrite their rows.
  size_t vocabulary = static_cast<size_t>(model.vocabularySize());
  std::vector<float> rows(*logits, *logits + slots.size() * vocabulary);
  float *row = rows.data();
  for (Active &a : active) {
    results[a.prompt].decodeSeconds += seconds;
    ++results[a.prompt].decodeSteps;
    size_t n = a.slots.size();
    if (Status status = advance(a, row); !status)
      return status;
    row += n * vocabulary;
    if (stopped)
      return {};
  }
  return retire();
}

/// Gives back the slots of texts that have ended.
Status Run::retire() {
  auto ended = std::partition(active.begin(), active.end(), [](const Active &a) { return !a.search->next.empty(); });
  for (auto a = ended; a != active.end(); ++a)
    freeSlots.insert(freeSlots.end(), a->slots.begin(), a->slots.end());
  active.erase(ended, active.end());
  return {};
}

Status Run::run() {
  if (options.maxNewTokens <= 0 || prompts.empty()) {
    for (Generation &result : results)
      result.reason = StopReason::MaxNewTokens;
    return {};
  }
  int64_t capacity = 0;
  for (size_t prompt = 0; prompt < prompts.size(); ++prompt) {
    int64_t tokens = static_cast<int64_t>(start(prompt).size());
    capacity = std::max(capacity, tokens + std::min(model.contextLength() - tokens, options.maxNewTokens - 1));
  }
  size_t most = static_cast<size_t>(std::max<int64_t>(options.maxSequences, 1));
  size_t slots = std::min(prompts.size(), std::max<size_t>(most / beams, 1)) * beams;
  if (Status status = model.start(static_cast<int32_t>(slots), capacity); !status)
    return status;
  held.resize(slots);
  for (size_t slot = slots; slot-- > 0;)
    freeSlots.push_back(static_cast<int32_t>(slot));

  Status status;
  do {
    status = admit();
    if (status && !active.empty() && !stopped)
      status = step();
  } while (status && !stopped && (!active.empty() || nextPrompt < prompts.size()));
  return !status && options.cancelled && options.cancelled() ? Status() : status;
}

Expected<std::vector<Generation>> Generator::run(const std::vector<Ids> &prompts, const GenerateOptions &options) {
  for (const Ids &prompt : prompts)
    if (Status status = check(prompt); !status)
      return status.error();
  if (Status status = options.search.check(model.vocabularySize()); !status)
    return status.error();
  if (options.lookup && options.search.beams > 1)
    return Error{"lookup does not go together with beams"};
  if (options.lookup && model.verifyLength() < 2)
    return Error{"the model has no entry 'verify', which lookup needs"};
  if (options.maxSequences > INT32_MAX)
    return Error{"expected at most " + std::to_string(INT32_MAX) + " sequences"};
  if (model.encoderLength()) {
    if (options.decoderStart.empty())
      return Error{"the model has an encoder: expected tokens that its decoder starts with (decoder_start_token_id)"};
    if (static_cast<int64_t>(options.decoderStart.size()) > model.contextLength())
      return tooLong("the decoder's start", static_cast<int64_t>(options.decoderStart.size()), model.contextLength());
  }
  Run run(model, prompts, options);
  if (Status status = run.run(); !status)
    return status.error();
  return run.take();
}

Expected<Generation> Generator::run(const Ids &prompt, const GenerateOptions &options) {
  Expected<std::vector<Generation>> results = run(std::vector<Ids>{prompt}, options);
  if (!results)
    return results.error();
  return std::move(results->front());
}

} // namespace attn::text
