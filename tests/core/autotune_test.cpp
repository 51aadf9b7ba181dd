#include "core/autotune.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>

#include "core/file.h"

namespace osprey::test {
namespace {

// A folder of its own for each test.
class Autotune : public testing::Test {
 protected:
  Autotune()
      : folder_(std::filesystem::temp_directory_path() /
                ("osprey-autotune-" + std::to_string(getpid()) + "-" +
                 testing::UnitTest::GetInstance()->current_test_info()->name())) {}
  ~Autotune() override { std::filesystem::remove_all(folder_); }

  std::string path() const { return (folder_ / "cache" / "autotune.json").string(); }

  std::filesystem::path folder_;
};

// Ways that take the given times; negative: refused. Counts what is asked of them.
struct Ways {
  std::vector<Candidate> candidates;
  int prepared = 0, timed = 0;

  void add(const std::string& name, double seconds, bool last_resort = false,
           const std::string& family = "f") {
    candidates.push_back({name, family, last_resort,
                          [this, seconds] {
                            ++prepared;
                            return seconds >= 0;
                          },
                          [this, seconds] {
                            ++timed;
                            return seconds;
                          }});
  }
};

TEST_F(Autotune, TakesTheFastestAndRemembersIt) {
  AutotuneCache cache("");
  Ways ways;
  ways.add("slow", 3), ways.add("refused", -1), ways.add("fast", 1), ways.add("middle", 2);
  EXPECT_EQ(choose("key", ways.candidates, &cache), 2u);
  EXPECT_EQ(ways.timed, 3 * kLeastTurns);
  EXPECT_EQ(cache.find("key"), "fast");
  EXPECT_EQ(choose("key", ways.candidates, &cache), 2u);
  EXPECT_EQ(ways.timed, 3 * kLeastTurns) << "what is remembered is not timed";
  EXPECT_EQ(choose("another key", ways.candidates, &cache), 2u);
  EXPECT_EQ(ways.timed, 6 * kLeastTurns);
}

// What else the machine does comes and goes: it doubles every time while it lasts.
TEST_F(Autotune, ADisturbanceOfSomeTurnsChangesNothing) {
  for (int disturbed = 1; disturbed <= kMostTurns - 2; ++disturbed) {
    AutotuneCache cache("");
    int runs = 0;
    const auto takes = [&](double seconds) {
      return [&runs, disturbed, seconds] {
        const int turn = ++runs;
        return turn <= 2 * disturbed ? seconds * (2 + 0.1 * (turn * turn % 7)) : seconds;
      };
    };
    const std::vector<Candidate> ways = {{"slow", "f", false, [] { return true; }, takes(1.3)},
                                         {"fast", "f", false, [] { return true; }, takes(1)}};
    choose("key", ways, &cache);
    EXPECT_EQ(cache.find("key").value_or("fast"), "fast") << disturbed;
  }
}

Candidate way(const char* name, double seconds, double bytes) {
  return {name, "f", false, [] { return true; }, [seconds] { return seconds; }, int64_t(bytes)};
}

TEST_F(Autotune, OfThoseThatAreAlikeTheOneThatKeepsTheFewestBytesIsTaken) {
  AutotuneCache cache("");
  EXPECT_EQ(choose("alike", {way("fast", 1, 3), way("small", 1.04, 2), way("slow", 1.2, 1)}, &cache), 1u);
  EXPECT_EQ(choose("apart", {way("fast", 1, 3), way("small", 1.06, 2), way("slow", 1.2, 1)}, &cache), 0u);
  EXPECT_EQ(choose("the same", {way("slower", 1.04, 2), way("fast", 1, 2)}, &cache), 1u);
}

TEST_F(Autotune, TimeMustBeWorthTheBytesThatItTakes) {
  AutotuneCache cache("");
  const double saved = 1e-3, price = saved * kBytesPerSecond;
  EXPECT_EQ(choose("worth it", {way("fast", saved, price / 2), way("small", 2 * saved, 0)}, &cache), 0u);
  EXPECT_EQ(choose("not worth it", {way("fast", saved, price * 2), way("small", 2 * saved, 0)}, &cache), 1u);
}

TEST_F(Autotune, WhatAnUnsteadyClockSaysIsNotRemembered) {
  AutotuneCache cache("");
  double time = 100;
  const auto seconds = [&] { return time *= 0.9; };
  const std::vector<Candidate> ways = {{"first", "f", false, [] { return true; }, seconds},
                                       {"second", "f", false, [] { return true; }, seconds}};
  EXPECT_EQ(choose("key", ways, &cache), 0u);
  EXPECT_EQ(cache.find("key"), std::nullopt);
}

// A clock that is never steady, and in the second run so disturbed that it alone would choose wrongly.
TEST_F(Autotune, ARunGoesOnWhereAnotherHasNotFoundAChoice) {
  int runs = 0;
  const auto takes = [&](double seconds) {
    return [&runs, seconds] {
      const int run = runs++;
      if (run < 2 * kMostTurns) return seconds * (1 + 0.2 * (2 * kMostTurns - run));  // ever less
      return 10 / seconds + run;
    };
  };
  const std::vector<Candidate> ways = {{"slow", "f", false, [] { return true; }, takes(1.3)},
                                       {"fast", "f", false, [] { return true; }, takes(1)}};
  AutotuneCache first(path());
  EXPECT_EQ(choose("key", ways, &first), 0u);
  EXPECT_EQ(runs, 2 * kMostTurns);
  first.save();
  EXPECT_EQ(AutotuneCache(path()).find("key"), std::nullopt);
  EXPECT_EQ(AutotuneCache(path()).times("key").at("fast").least, 1.2);

  AutotuneCache second(path());
  EXPECT_EQ(choose("key", ways, &second), 1u);
  EXPECT_EQ(runs, 2 * (kMostTurns + kLeastTurns));
  second.save();
  EXPECT_EQ(AutotuneCache(path()).find("key"), "fast");
  EXPECT_TRUE(AutotuneCache(path()).times("key").empty()) << "no longer of use";
}

TEST_F(Autotune, WhatIsRememberedButRefusedIsChosenAnew) {
  AutotuneCache cache("");
  cache.keep("key", "refused"), cache.keep("other key", "gone");
  Ways ways;
  ways.add("refused", -1), ways.add("good", 1);
  EXPECT_EQ(choose("key", ways.candidates, &cache), 1u);
  EXPECT_EQ(cache.find("key"), "good");
  EXPECT_EQ(choose("other key", ways.candidates, &cache), 1u);
}

TEST_F(Autotune, WithoutACacheTheFirstThatCanIsTakenUntimed) {
  Ways ways;
  ways.add("refused", -1), ways.add("slow", 3), ways.add("fast", 1);
  EXPECT_EQ(choose("key", ways.candidates, nullptr), 1u);
  EXPECT_EQ(ways.timed, 0);
}

TEST_F(Autotune, TheLastResortIsForWhenNothingElseCan) {
  AutotuneCache cache("");
  Ways ways;
  ways.add("rounded", 1, true), ways.add("exact", 5);
  EXPECT_EQ(choose("key", ways.candidates, &cache), 1u);
  EXPECT_EQ(choose("key", ways.candidates, nullptr), 1u);
  Ways only;
  only.add("rounded", 1, true), only.add("refused", -1);
  EXPECT_EQ(choose("only", only.candidates, &cache), 0u);
  EXPECT_EQ(choose("only", only.candidates, nullptr), 0u);
  Ways none;
  none.add("refused", -1);
  EXPECT_EQ(choose("none", none.candidates, &cache), std::nullopt);
  EXPECT_EQ(cache.find("none"), std::nullopt);
}

TEST_F(Autotune, OnlyTheFirstOfAFamilyAreTimed) {
  AutotuneCache cache("");
  Ways ways;
  for (int i = 0; i < kMostTimed + 3; ++i) ways.add("f" + std::to_string(i), 100 - i);
  ways.add("refused", -1, false, "g"), ways.add("g", 200, false, "g");
  EXPECT_EQ(choose("key", ways.candidates, &cache), size_t(kMostTimed - 1));
  EXPECT_EQ(ways.timed, (kMostTimed + 1) * kLeastTurns);
  EXPECT_EQ(ways.prepared, kMostTimed + 2) << "those beyond are not even made";
}

TEST_F(Autotune, TheFileOutlivesTheProgramAndKeepsWhatOthersSaved) {
  AutotuneCache first(path()), second(path());
  first.keep("a", "1"), first.keep("both", "first");
  first.save();
  second.keep("b", "2"), second.keep("both", "second");
  second.save();
  const AutotuneCache third(path());
  EXPECT_EQ(third.find("a"), "1");
  EXPECT_EQ(third.find("b"), "2");
  EXPECT_EQ(third.find("both"), "second") << "the later one wins";
  EXPECT_EQ(third.find("c"), std::nullopt);
}

TEST_F(Autotune, ABrokenFileIsIgnoredAndReplaced) {
  std::filesystem::create_directories(folder_ / "cache");
  for (const char* broken : {"", "{", "[]", "{\"format\": 2}", "{\"format\": 2, \"choices\": {\"a\": 1}}",
                             "{\"format\": 1, \"choices\": {\"a\": \"1\"}}",
                             "{\"format\": 2, \"choices\": {}, \"times\": {\"a\": {\"x\": [1]}}}"}) {
    write_file(path(), broken);
    AutotuneCache cache(path());
    EXPECT_EQ(cache.find("a"), std::nullopt) << broken;
    cache.keep("b", "2");
    cache.save();
    EXPECT_EQ(AutotuneCache(path()).find("b"), "2") << broken;
  }
}

TEST_F(Autotune, AFileThatCannotBeWrittenIsNoError) {
  AutotuneCache cache("/proc/nowhere/autotune.json");
  cache.keep("a", "1");
  EXPECT_NO_THROW(cache.save());
  EXPECT_EQ(cache.find("a"), "1");
}

TEST_F(Autotune, ThePathFollowsTheEnvironment) {
  setenv("XDG_CACHE_HOME", "/x", 1);
  setenv("HOME", "/h", 1);
  EXPECT_EQ(autotune_path(), "/x/osprey/autotune.json");
  setenv("XDG_CACHE_HOME", "relative", 1);
  EXPECT_EQ(autotune_path(), "/h/.cache/osprey/autotune.json");
  unsetenv("XDG_CACHE_HOME");
  unsetenv("HOME");
  EXPECT_EQ(autotune_path(), "");
  unsetenv("OSPREY_AUTOTUNE");
  EXPECT_TRUE(autotune_wanted());
  setenv("OSPREY_AUTOTUNE", "0", 1);
  EXPECT_FALSE(autotune_wanted());
  unsetenv("OSPREY_AUTOTUNE");
}

}  // namespace
}  // namespace osprey::test
