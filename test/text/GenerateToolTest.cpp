//===- GenerateToolTest.cpp - attn-generate on the fake model ----------------------------------------------===//

#include "TemporaryDirectory.h"

#include <csignal>
#include <fcntl.h>
#include <sys/ioctl.h>
#include <sys/wait.h>
#include <unistd.h>

using namespace attn::text;

namespace {

struct Result {
  int status = -1; ///< exit status, or 128 + signal
  std::string out, err;
};

class GenerateTool : public testing::Test {
protected:
  void SetUp() override {
    files.write("tokenizer.json", letterTokenizer());
    files.write("config.json",
                R"({"eos_token_id": 0, "task_specific_params": {"summarization": {"max_new_tokens": 3}}})");
  }

  /// Runs the tool on the fake model; `arguments` go through the shell.
  Result run(const std::string &arguments) {
    std::string command = ATTN_TEST_GENERATE " " ATTN_TEST_FAKE_MODEL " --tokenizer " + files.path() + " " + arguments +
                          " >" + files.path("out") + " 2>" + files.path("err");
    int status = std::system(command.c_str());
    return {WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status), contentOf(files.path("out")),
            contentOf(files.path("err"))};
  }

  TemporaryDirectory files;
};

} // namespace

// a = 1, b = 2, …; after "ab" the sums are 3 (c), 6 (f), 12 (l), 24 % 16 = 8 (h).
TEST_F(GenerateTool, WritesTheTextAndNothingElse) {
  Result result = run("--prompt ab");
  EXPECT_EQ(result.status, 0);
  EXPECT_EQ(result.out, "cfl\n");
  EXPECT_EQ(result.err, "");
  EXPECT_EQ(run("--prompt=ab -n 4 --threads 2 --variant plain").out, "cflh\n");
  EXPECT_EQ(run("--prompt ab --ids").out, "3 6 12\n");
}

TEST_F(GenerateTool, WithoutTheCache) {
  EXPECT_EQ(run("--prompt ab --no-cache -n 5").out, "cdefg\n"); // forward counts up
  EXPECT_EQ(run("--prompt n --no-cache -n 5").out, "o\n");      // … to the end of text
}

TEST_F(GenerateTool, SeveralPrompts) {
  std::string file = files.write("prompt.txt", "d\n"), crlf = files.write("crlf.txt", "d\r\n");
  EXPECT_EQ(run("--prompt ab --prompt-file " + file + " --prompt-file " + crlf).out, "cfl\ndh\ndh\n");
  EXPECT_EQ(run("--prompt-file - <" + file).out, "dh\n");
}

TEST_F(GenerateTool, VerboseGoesToStandardError) {
  Result result = run("--prompt ab -v");
  EXPECT_EQ(result.out, "cfl\n");
  EXPECT_EQ(result.err.rfind("attn-generate: 2 prompt tokens, 3 new tokens, first token after ", 0), 0u) << result.err;
  EXPECT_NE(result.err.find(" tokens/s, ended by the limit of new tokens\n"), std::string::npos) << result.err;
  EXPECT_NE(run("--prompt d -v").err.find("ended by end of text\n"), std::string::npos);
  EXPECT_NE(run("--prompt ab -v -n 99 --no-cache").err.find("ended by end of text\n"), std::string::npos);
}

TEST_F(GenerateTool, Template) {
  files.write("config.json", R"({"task_specific_params": {"summarization": {"template": ["c", "article", "<eos>"],
                                                                            "max_new_tokens": 2}}})");
  EXPECT_EQ(run("--prompt b").out, "ej\n"); // 3 + 2 + 0 = 5, 10
  EXPECT_EQ(run("--prompt b --no-template").out, "bd\n");
}

TEST_F(GenerateTool, PromptErrorsComeBeforeAnythingRuns) {
  std::string longText(33, 'a');
  Result result = run("--prompt ab --prompt " + longText);
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.out, "");
  EXPECT_EQ(result.err, "attn-generate: error: the prompt: the prompt has 33 tokens, the model's context holds 32\n");
  EXPECT_EQ(run("--prompt " + longText).err,
            "attn-generate: error: the prompt has 33 tokens, the model's context holds 32\n");
  EXPECT_EQ(run("--prompt ab --prompt ''").err, "attn-generate: error: the prompt is empty\n");
  // The tokenizer knows no such letters, so that nothing is left.
  EXPECT_EQ(run("--prompt xyz").err, "attn-generate: error: the prompt has no tokens\n");
  nlohmann::json tokenizer = nlohmann::json::parse(letterTokenizer());
  tokenizer["model"]["vocab"]["z"] = 99;
  files.write("tokenizer.json", tokenizer.dump());
  EXPECT_EQ(run("--prompt z").err,
            "attn-generate: error: the tokenizer has ids up to 99, the model's vocabulary 16 tokens: expected the model's own "
            "tokenizer\n");
  EXPECT_EQ(run("--prompt-ids 99 --ids").err,
            "attn-generate: error: token id 99 of the prompt is outside the model's vocabulary of 16\n");
}

TEST_F(GenerateTool, InvalidUtf8) {
  std::string file = files.write("bad.txt", "ab\xff");
  Result result = run("--prompt-file " + file);
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "attn-generate: error: '" + file + "': invalid UTF-8 at byte 2\n");
  EXPECT_EQ(run("--replace-invalid --prompt-file " + file).out, "cfl\n"); // U+FFFD has no token here
}

TEST_F(GenerateTool, ErrorsOfTheModelFile) {
  EXPECT_EQ(run("--prompt ab --variant fastest").err,
            "attn-generate: error: expected variant never, fast or plain, got 'fastest'\n");
  Result result = run("--prompt ab --variant never");
  EXPECT_EQ(result.status, 1);
  EXPECT_EQ(result.err, "attn-generate: error: this CPU does not run variant 'never'\n");
}

TEST_F(GenerateTool, StandardOutputIsFull) {
  EXPECT_EQ(std::system((std::string(ATTN_TEST_GENERATE " " ATTN_TEST_FAKE_MODEL " --tokenizer ") + files.path() +
                         " --prompt ab >/dev/full 2>" + files.path("err"))
                            .c_str()) >>
                8,
            1);
  EXPECT_EQ(contentOf(files.path("err")),
            "attn-generate: error: cannot write to standard output: No space left on device\n");
}

/// With thousands of prompts to go Ctrl-C ends it with 130 and no message, also when it is blocked on a full pipe.
class Interrupted : public GenerateTool, public testing::WithParamInterface<bool> {};
INSTANTIATE_TEST_SUITE_P(GenerateTool, Interrupted, testing::Bool(),
                         [](const auto &info) { return info.param ? "Blocked" : "Running"; });

TEST_P(Interrupted, EndsQuietly) {
  int ends[2];
  ASSERT_EQ(pipe(ends), 0);
  fcntl(ends[1], F_SETPIPE_SZ, 4096);
  std::vector<std::string> arguments = {ATTN_TEST_GENERATE, ATTN_TEST_FAKE_MODEL, "--tokenizer", files.path(), "--batch=4"};
  for (int i = 0; i < 20000; ++i)
    arguments.push_back("--prompt=ab");
  std::vector<char *> pointers;
  for (std::string &argument : arguments)
    pointers.push_back(argument.data());
  pointers.push_back(nullptr);
  pid_t child = fork();
  if (child == 0) {
    dup2(ends[1], STDOUT_FILENO);
    dup2(open(files.path("err").c_str(), O_CREAT | O_WRONLY, 0600), STDERR_FILENO);
    close(ends[0]);
    execv(pointers[0], pointers.data());
    _exit(127);
  }
  close(ends[1]);
  char first;
  ASSERT_EQ(read(ends[0], &first, 1), 1); // it runs, so the handler is in place
  EXPECT_EQ(first, 'c');
  if (GetParam()) // until what waits in the pipe grows no more
    for (int waiting = -1, before = -2; waiting != before;) {
      before = waiting;
      usleep(100000);
      ASSERT_EQ(ioctl(ends[0], FIONREAD, &waiting), 0);
    }
  kill(child, SIGINT);
  int status = 0;
  waitpid(child, &status, 0);
  close(ends[0]);
  EXPECT_TRUE(WIFEXITED(status));
  EXPECT_EQ(WEXITSTATUS(status), 130);
  EXPECT_EQ(contentOf(files.path("err")), "");
}
