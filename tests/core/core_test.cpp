// The small tools of core/: random numbers, loops, layouts, files.
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <atomic>
#include <fstream>
#include <numeric>
#include <set>
#include <thread>

#include "core/arena.h"
#include "core/file.h"
#include "core/lifetimes.h"
#include "core/parallel.h"
#include "core/random.h"
#include "core/view.h"
#include "core/window.h"
#include "tests/data/temporary.h"

namespace osprey {
namespace {

// The known answers that come with the authors' code (Random123, kat_vectors).
TEST(Philox, GivesThePublishedNumbers) {
  const Philox zeros = philox({{0, 0, 0, 0}}, 0);
  EXPECT_EQ(zeros.v[0], 0x6627e8d5u);
  EXPECT_EQ(zeros.v[1], 0xe169c58du);
  EXPECT_EQ(zeros.v[2], 0xbc57ac4cu);
  EXPECT_EQ(zeros.v[3], 0x9b00dbd8u);
  const Philox ones = philox({{~0u, ~0u, ~0u, ~0u}}, ~0ull);
  EXPECT_EQ(ones.v[0], 0x408f276du);
  EXPECT_EQ(ones.v[1], 0x41c83b0eu);
  EXPECT_EQ(ones.v[2], 0xa20bc7c6u);
  EXPECT_EQ(ones.v[3], 0x6d5451fdu);
  const Philox pi = philox({{0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344}}, 0x299f31d0a4093822ull);
  EXPECT_EQ(pi.v[0], 0xd16cfe09u);
  EXPECT_EQ(pi.v[1], 0x94fdccebu);
  EXPECT_EQ(pi.v[2], 0x5001e420u);
  EXPECT_EQ(pi.v[3], 0x24126ea1u);
}

TEST(Random, IsAFunctionOfSeedPurposeStepAndIndex) {
  auto first = [](uint64_t seed, Purpose p, uint64_t step, uint64_t index) {
    return Random(seed, p, step, index).bits();
  };
  std::set<uint32_t> numbers;
  for (uint64_t seed : {0, 1})
    for (Purpose p : {Purpose::sample, Purpose::augment})
      for (uint64_t step : {0ull, 1ull, 1ull << 32})
        for (uint64_t index : {0ull, 1ull, 1ull << 32}) {
          EXPECT_EQ(first(seed, p, step, index), first(seed, p, step, index));
          numbers.insert(first(seed, p, step, index));
        }
  EXPECT_EQ(numbers.size(), 36u);
}

TEST(Random, DistributionsHaveTheirMoments) {
  Random random(3, Purpose::test);
  const int n = 100000;
  double sum = 0, squares = 0, normal = 0, normal_squares = 0;
  int counts[7] = {}, above = 0;
  for (int i = 0; i < n; ++i) {
    const float u = random.uniform();
    ASSERT_GE(u, 0);
    ASSERT_LT(u, 1);
    sum += u;
    squares += u * u;
    const float z = random.normal();
    normal += z;
    normal_squares += z * z;
    ++counts[random.below(7)];
    const float s = random.scale(2);
    ASSERT_GE(s, 0.5f);
    ASSERT_LE(s, 2);
    above += s > 1;
  }
  // Five standard deviations of each mean.
  EXPECT_NEAR(sum / n, 0.5, 5 * 0.2887 / std::sqrt(n));
  EXPECT_NEAR(squares / n, 1.0 / 3, 5 * 0.2981 / std::sqrt(n));
  EXPECT_NEAR(normal / n, 0, 5 / std::sqrt(n));
  EXPECT_NEAR(normal_squares / n, 1, 5 * std::sqrt(2.0 / n));
  for (int c : counts) EXPECT_NEAR(c, n / 7.0, 5 * std::sqrt(n * 6 / 49.0));
  EXPECT_NEAR(above, n / 2.0, 5 * std::sqrt(n / 4.0));
}

TEST(ParallelFor, CoversEveryIndexOnce) {
  for (const int64_t n : {0, 1, 7, 1000})
    for (const int64_t grain : {1, 10, 5000}) {
      std::vector<std::atomic<int>> seen(size_t(n) + 1);
      parallel_for(n, grain, [&](int64_t first, int64_t last) {
        for (int64_t i = first; i < last; ++i) ++seen[size_t(i)];
      });
      for (int64_t i = 0; i < n; ++i) EXPECT_EQ(seen[size_t(i)], 1);
    }
}

TEST(ParallelFor, PassesAnExceptionOn) {
  EXPECT_THROW(parallel_for(100, 1,
                            [](int64_t first, int64_t last) {
                              if (first <= 50 && 50 < last) throw Error("fifty");
                            }),
               Error);
}

// Whatever a foreign file had in it.
TEST(Error, IsOneLineWithoutCommandsToTheTerminal) {
  EXPECT_STREQ(Error("a.xml: `b\n\x1B[1m\xC3\xA9` is no name").what(), "a.xml: `b??[1m\xC3\xA9` is no name");
}

TEST(LayOut, BuffersThatLiveTogetherDoNotOverlap) {
  for (uint64_t seed = 0; seed < 200; ++seed) {
    Random random(seed, Purpose::test);
    std::vector<Lifetime> lives;
    for (int i = 0, n = 1 + random.below(40); i < n; ++i) {
      const int first = random.below(30);
      lives.push_back({size_t(random.below(2000)), first, first + random.below(10)});
    }
    const Layout layout = lay_out(lives);
    ASSERT_EQ(layout.offsets.size(), lives.size());
    EXPECT_GE(layout.bytes, peak_bytes(lives));
    for (size_t a = 0; a < lives.size(); ++a) {
      EXPECT_EQ(layout.offsets[a] % kAlignment, 0u);
      EXPECT_LE(layout.offsets[a] + lives[a].bytes, layout.bytes);
      for (size_t b = 0; b < a; ++b) {
        const bool live = lives[a].first <= lives[b].last && lives[b].first <= lives[a].last;
        const bool meet = layout.offsets[a] < layout.offsets[b] + lives[b].bytes &&
                          layout.offsets[b] < layout.offsets[a] + lives[a].bytes;
        ASSERT_FALSE(live && meet) << "seed " << seed;
      }
    }
  }
}

TEST(LayOut, SharesWhatDoesNotMeet) {
  EXPECT_EQ(lay_out({{64, 0, 1}, {64, 2, 3}, {64, 4, 5}}).bytes, 64u);
  EXPECT_EQ(lay_out({{64, 0, 2}, {64, 2, 3}}).bytes, 128u);
  EXPECT_EQ(peak_bytes({{64, 0, 2}, {100, 2, 3}, {10, 3, 3}}), 192u);  // in whole lines
}

TEST(Arena, GrowsAndNeverShrinks) {
  Arena arena("a test");
  arena.reserve(100);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(arena.data()) % kAlignment, 0u);
  char* before = arena.data();
  arena.reserve(50);
  EXPECT_EQ(arena.data(), before);
  arena.reserve(100000);
  EXPECT_GE(arena.bytes(), 100000u);
}

TEST(Arena, SaysWhatThereWasNoMemoryFor) {
  Arena arena("the plan of a test", {[](size_t) { return nullptr; }, [](void*) {}});
  expect_in("the plan of a test", error_of([&] { arena.reserve(12345); }));
}

// Whole pages and the parts of pages at both ends; nothing beside them.
TEST(ClearPages, MakesMemoryZeroAndNoMore) {
  std::vector<char> memory(100000, 'x');
  for (const auto& [first, count] : {std::pair<size_t, size_t>{100, 50000}, {60000, 5}, {70001, 4097}}) {
    clear_pages(memory.data() + first, count);
    EXPECT_EQ(size_t(std::count(memory.begin() + long(first), memory.begin() + long(first + count), 0)),
              count);
    EXPECT_EQ(memory[first - 1], 'x');
    EXPECT_EQ(memory[first + count], 'x');
  }
}

TEST(AtomicFile, IsThereWholeOrNotAtAll) {
  const Temporary folder;
  const std::string path = folder.write("f", "old");
  {
    AtomicFile file(path);
    file.write("half", 4);
    EXPECT_EQ(read_file(path, "a file"), "old");
  }  // given up
  EXPECT_EQ(read_file(path, "a file"), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / ""), {}), 1);
  write_file(path, "new");
  EXPECT_EQ(read_file(path, "a file"), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(folder / ""), {}), 1);
}

TEST(ReadFile, SaysWhatItExpected) {
  const Temporary folder;
  expect_in("(expected a poem)", error_of([&] { read_file(folder / "none", "a poem"); }));
  expect_in("this is a folder, expected a poem", error_of([&] { read_file(folder / "", "a poem"); }));
  // The system would open what stands before the zero byte.
  write_file(folder / "there", "text");
  const std::string cut = (folder / "there") + std::string("\0.txt", 5);
  EXPECT_FALSE(file_exists(cut));
  expect_in("a name with a zero byte in it, expected a poem", error_of([&] { read_file(cut, "a poem"); }));
  expect_in("a name with a zero byte in it", error_of([&] { FileBytes(cut, "a poem"); }));
}

TEST(FileBytes, AreThoseOfAFileHoweverOftenForgotten) {
  const Temporary folder;
  std::string text;
  while (text.size() < 20000) text += std::to_string(text.size()) + " ";
  const FileBytes file(folder.write("f", text), "a file");
  EXPECT_TRUE(file.bytes() == text);
  file.forget(5000, 10000);
  file.forget(0, text.size());
  file.forget(text.size(), 0);
  EXPECT_TRUE(file.bytes() == text);
  EXPECT_EQ(FileBytes(folder.write("empty", ""), "a file").bytes(), "");
  expect_in("none: cannot be opened: No such file or directory (expected a poem)",
            error_of([&] { FileBytes(folder / "none", "a poem"); }));
  expect_in("this is a folder, expected a poem", error_of([&] { FileBytes(folder / "", "a poem"); }));
}

TEST(FileBytes, ComeThroughAPipe) {
  const Temporary folder;
  const std::string path = folder / "pipe", text(100000, 'p');  // more than it holds
  ASSERT_EQ(::mkfifo(path.c_str(), 0600), 0);
  std::thread writer([&] { std::ofstream(path) << text; });
  const FileBytes file(path, "a file");
  writer.join();
  EXPECT_TRUE(file.bytes() == text);
  file.forget(0, text.size());
  EXPECT_TRUE(file.bytes() == text);
}

TEST(Shape, IndexesChannelsLast) {
  const Shape s = {2, 3, 4, 5};
  int i = 0;
  for (int n = 0; n < 2; ++n)
    for (int h = 0; h < 3; ++h)
      for (int w = 0; w < 4; ++w)
        for (int c = 0; c < 5; ++c, ++i) {
          EXPECT_EQ(s.index(n, h, w, c), i);
          const auto [pn, ph, pw, pc] = s.pixel(i);
          EXPECT_EQ(std::tuple(pn, ph, pw, pc), std::tuple(n, h, w, c));
        }
  EXPECT_EQ(s.text(), "2x3x4x5");
  EXPECT_EQ((Shape{65536, 65536, 4, 1}).elements(), int64_t(1) << 34);
}

// Which outputs look at an input, found by trying all.
TEST(Window, FirstAndLastOverAreTheInverseOfStart) {
  for (int size = 1; size <= 5; ++size)
    for (int stride = 1; stride <= 4; ++stride)
      for (int padding = 0; padding < size; ++padding) {
        const Window w = pooling_window(size, stride, padding);
        const int inputs = 11, outputs = w.outputs(inputs);
        for (int i = 0; i < inputs; ++i) {
          int first = outputs, last = -1;
          for (int o = 0; o < outputs; ++o)
            if (w.start(o) <= i && i < w.start(o) + size) first = std::min(first, o), last = o;
          if (last < 0) continue;
          EXPECT_EQ(w.first_over(i), first);
          EXPECT_EQ(std::min(w.last_over(i), outputs - 1), last);
        }
      }
}

}  // namespace
}  // namespace osprey
