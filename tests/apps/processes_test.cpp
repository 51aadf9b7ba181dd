// Training by several processes: that it is the training of one, and that an end of one is the end of all.
#include <gtest/gtest.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <fstream>
#include <numeric>
#include <thread>

#include "core/file.h"
#include "tests/apps/command.h"
#include "tests/models/networks.h"
#include "tests/train/drawn.h"
#include "train/process_group.h"

namespace osprey {
namespace {

// Runs body(group) in processes of a group; true if it returned true in all of them.
template <class Body>
bool in_processes(int size, Body body) {
  const ProcessGroup::Memory memory(size);
  std::vector<pid_t> members;
  for (int rank = 0; rank < size; ++rank) {
    const pid_t member = fork();
    if (member == 0) {
      setenv(ProcessGroup::kVariable, memory.place_of(rank).c_str(), 1);
      std::_Exit(body(ProcessGroup::own()) ? 0 : 1);
    }
    members.push_back(member);
  }
  bool all = true;
  for (const pid_t member : members) {
    int status = 0;
    waitpid(member, &status, 0);
    all &= status == 0;
  }
  return all;
}

// Lengths around those of the parts in which they are added (2^18 floats), one after the other.
TEST(ProcessGroup, SumsAreThoseOfAllInTheirOrder) {
  for (const int size : {1, 2, 3, 5})
    EXPECT_TRUE(in_processes(size, [size](ProcessGroup& group) {
      bool right = group.size() == size && group.leads() == (group.rank() == 0);
      const auto of = [](int rank, size_t i) { return 1.0f / float(i % 1000 + 3 + size_t(rank) * 7); };
      for (const size_t count : {1, 15, 17, (1 << 18) - 1, 1 << 18, (1 << 18) + 1, 700001}) {
        std::vector<float> values(count);
        for (size_t i = 0; i < count; ++i) values[i] = of(group.rank(), i);
        group.sum(values.data(), count);
        for (size_t i = 0; i < count; ++i) {
          float expected = of(0, i);
          for (int rank = 1; rank < size; ++rank) expected += of(rank, i);
          right &= values[i] == expected;
        }
        double rank = group.rank();
        group.sum(&rank, 1);
        right &= rank == size * (size - 1) / 2;
      }
      return right;
    })) << size;
}

TEST(ProcessGroup, AFlagOfOneIsSeenByAllAndMemoryOfTheLeader) {
  EXPECT_TRUE(in_processes(3, [](ProcessGroup& group) {
    bool right = true;
    for (int turn = 0; turn < 100; ++turn) {
      right &= group.any(group.rank() == turn % 5) == (turn % 5 < 3);
      int told = group.leads() ? turn : -1;
      group.take_from_leader(&told, sizeof(told));
      right &= told == turn;
    }
    return right;
  }));
}

class Processes : public testing::Test {
 protected:
  std::vector<std::string> train(const std::string& cfg, const std::string& out,
                                 const std::vector<std::string>& more) const {
    std::vector<std::string> words = {"train", cfg, data_, "--out", folder_ / out, "--threads", "1"};
    words.insert(words.end(), more.begin(), more.end());
    return words;
  }
  std::vector<float> trained(const std::string& cfg, const std::string& out,
                             const std::vector<std::string>& more) {
    const Said said = osprey_command(train(cfg, out, more));
    EXPECT_EQ(said.status, 0) << said.err;
    const std::string bytes = read_file(folder_ / (out + "/t_final.weights"), "weights");
    constexpr size_t kHeader = 20;
    std::vector<float> values((bytes.size() - kHeader) / sizeof(float));
    std::memcpy(values.data(), bytes.data() + kHeader, values.size() * sizeof(float));
    return values;
  }
  // Children of a process, by Linux's list.
  static std::vector<pid_t> children(pid_t process) {
    std::ifstream list("/proc/" + std::to_string(process) + "/task/" + std::to_string(process) + "/children");
    std::vector<pid_t> found;
    for (pid_t child; list >> child;) found.push_back(child);
    return found;
  }
  void wait_for_file(const std::string& path) {
    for (int ms = 0; ms < 60000 && !std::filesystem::exists(path); ++ms)
      std::this_thread::sleep_for(std::chrono::milliseconds(1));
    EXPECT_TRUE(std::filesystem::exists(path)) << read_file(folder_ / "err", "output");
  }

  Temporary folder_;
  std::string data_ = draw_set(folder_, 7);
  std::string cfg_of(int max_batches, const std::string& net = "learning_rate=0.0005\n") {
    return folder_.write("t.cfg",
                         drawn_cfg(max_batches, net + "batch=8\nsubdivisions=4\nburn_in=0\n", "random=1\n"));
  }
};

// Gradients are added in another order, and the first steps of a training make such differences ten times
// larger each: so either few steps are made, or small ones, after which batch norm's statistics still tell
// which mini-batches there were, and in which order. Faults planted in what is shared made differences of
// 1e-3 to 0.5.
void expect_alike(const std::vector<float>& a, const std::vector<float>& b, float tolerance) {
  ASSERT_EQ(a.size(), b.size());
  float apart = 0;
  for (size_t i = 0; i < a.size(); ++i) apart = std::max(apart, std::abs(a[i] - b[i]) / (1 + std::abs(a[i])));
  EXPECT_LT(apart, tolerance);
}
constexpr float kFewSteps = 1e-4f, kSmallSteps = 2e-6f;
constexpr const char* kSmallRate = "learning_rate=1e-7\n";

TEST_F(Processes, MakeTheStepsOfOne) {
  const std::string cfg = cfg_of(2, "learning_rate=0.0005\nmosaic=1\n");
  const std::vector<float> one = trained(cfg, "one", {"--seed", "3"});
  const std::vector<float> two = trained(cfg, "two", {"--seed", "3", "--processes", "2"});
  expect_alike(one, two, kFewSteps);
  EXPECT_EQ(two, trained(cfg, "again", {"--seed", "3", "--processes", "2"}));
  expect_alike(one, trained(cfg, "four", {"--seed", "3", "--processes", "4"}), kFewSteps);
}

TEST_F(Processes, SeeTheMiniBatchesOfOne) {
  const std::string cfg = cfg_of(12, kSmallRate);
  const std::vector<float> one = trained(cfg, "one", {});
  expect_alike(one, trained(cfg, "two", {"--processes", "2"}), kSmallSteps);
  expect_alike(one, trained(cfg, "four", {"--processes", "4"}), kSmallSteps);
}

TEST_F(Processes, MakeTheStepsOfOneOnADeviceToo) {
  const std::string cfg = cfg_of(2, "learning_rate=0.0005\noptimizer=adamw\nclip_norm=1\n");
  expect_alike(trained(cfg, "one", {"--device", "emulated"}),
               trained(cfg, "two", {"--device", "emulated", "--processes", "2"}), kFewSteps);
}

TEST_F(Processes, FreezeAndFreeLayersTogether) {
  const std::string cfg = cfg_of(8, kSmallRate);
  std::string text = read_file(cfg, "the .cfg");
  text.insert(text.find("filters=16"), "dont_update=4\n");
  folder_.write("t.cfg", text);
  expect_alike(trained(cfg, "one", {}), trained(cfg, "two", {"--processes", "2"}), kSmallSteps);
}

// Dropout's follow from the number of the mini-batch.
TEST_F(Processes, DrawTheRandomNumbersOfOne) {
  const std::string cfg = cfg_of(2, kSmallRate);
  std::string text = read_file(cfg, "the .cfg");
  text.insert(text.find("[shortcut]"), "[dropout]\nprobability=0.5\n");
  text.insert(text.find("[convolutional]\nfilters=14"), "[convolutional]\nbatch_normalize=1\nfilters=8\n");
  folder_.write("t.cfg", text);
  expect_alike(trained(cfg, "one", {}), trained(cfg, "two", {"--processes", "2"}), kSmallSteps);
}

TEST_F(Processes, OneGoesOnWhereTwoStopped) {
  const std::string cfg = cfg_of(10, kSmallRate);
  const std::vector<float> whole = trained(cfg, "whole", {});
  trained(cfg, "parts", {"--processes", "2", "--max-batches", "6"});
  expect_alike(whole, trained(cfg, "parts", {"--resume"}), kSmallSteps);
}

TEST_F(Processes, OneTellsAndWritesForAll) {
  const Said said = osprey_command(train(cfg_of(3), "out", {"--processes", "2"}));
  ASSERT_EQ(said.status, 0) << said.err;
  EXPECT_EQ(lines_of(said.out).size(), 2u) << said.out;  // iterations, and mAP
  expect_in("3 iterations in ", said.out);
  expect_in("memory: each of 2 processes has ", said.err);
  EXPECT_EQ(said.err.find("memory:"), said.err.rfind("memory:"));
}

TEST_F(Processes, WhatIsWrongIsToldOnce) {
  expect_refused(
      train(cfg_of(3), "out", {"--processes", "3"}),
      "subdivisions=4 mini-batches cannot be dealt out to 3 processes alike; it must be a multiple of 3");
  const std::string whole = folder_.write("t.cfg", drawn_cfg(3));
  expect_refused(train(whole, "out", {"--processes", "2"}), "subdivisions=2 would make 2 of 2 images each");
  expect_refused(train(whole, "out", {"--gpus", "0,1"}), "--gpus is for --device cuda");
  expect_refused(train(whole, "out", {"--device", "emulated", "--gpus", "1,1"}),
                 "GPUs `1,1`: each can be named once");
  const std::string wild = cfg_of(30, "learning_rate=1e30\n");
  expect_refused(train(wild, "out", {"--processes", "2"}), "not finite");
  expect_refused(train(wild, "out", {"--processes", "2", "--device", "emulated"}), "not finite");
}

TEST_F(Processes, CtrlCSavesAndResumes) {
  const std::string cfg = cfg_of(4000, kSmallRate), checkpoint = folder_ / "out/t_checkpoint.safetensors";
  const auto arguments = train(cfg, "out", {"--processes", "2", "--save-every", "1", "--no-map"});
  const pid_t process = start_osprey(arguments, folder_ / "out.txt", folder_ / "err");
  wait_for_file(checkpoint);
  kill(process, SIGINT);
  EXPECT_EQ(wait_for(process), 0);
  const std::string told = read_file(folder_ / "err", "output");
  expect_in("saved; --resume goes on from here", told);
  EXPECT_EQ(told.find("stopped after"), told.rfind("stopped after"));
  const Said said = osprey_command(train(cfg, "out", {"--resume", "--max-batches", "1"}));
  expect_in("going on after iteration", said.err);
}

TEST_F(Processes, TheEndOfOneIsTheEndOfAll) {
  const auto arguments =
      train(cfg_of(4000, kSmallRate), "out", {"--processes", "2", "--save-every", "1", "--no-map"});
  const pid_t process = start_osprey(arguments, folder_ / "out.txt", folder_ / "err");
  wait_for_file(folder_ / "out/t_checkpoint.safetensors");
  const std::vector<pid_t> members = children(process);
  ASSERT_EQ(members.size(), 2u);
  kill(members[1], SIGKILL);
  EXPECT_EQ(wait_for(process), 128 + SIGKILL);
  expect_in("one of 2 processes was ended by signal 9", read_file(folder_ / "err", "output"));
  EXPECT_NE(kill(members[0], 0), 0) << "it is still there";
}

TEST_F(Processes, DarknetsGpusAreProcesses) {
  const Said said =
      osprey_command({"detector", "train", data_, cfg_of(3), "-gpus", "0,1", "--device", "emulated"});
  ASSERT_EQ(said.status, 0) << said.err;
  expect_in("each of 2 processes", said.err);
  EXPECT_EQ(lines_of(said.out).size(), 4u) << said.out;  // three iterations, and where the weights are
}

}  // namespace
}  // namespace osprey
