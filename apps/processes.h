// Commands that run as several processes at once (train/process_group.h).
#pragma once

#include <vector>

namespace osprey {

// Starts this command `count` times, as one group, and ends the program with its status when all have ended;
// if one fails, the others are ended. Ctrl-C and SIGTERM are handed on. Returns at once in a process that was
// started so, and for a count of 1. Without --threads each has its share of the cores.
void run_as_group(int count);
constexpr int kMostProcesses = 64;

// Only these GPUs are there from now on, unless CUDA_VISIBLE_DEVICES says something. Error: one is named
// twice.
void take_gpus(const std::vector<int>& numbers);

}  // namespace osprey
