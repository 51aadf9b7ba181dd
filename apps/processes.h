// Commands that run as several processes at once (train/process_group.h).
#pragma once

#include <string>

namespace osprey {

// Starts this command `count` times, as one group, and ends the program with its status when all have ended;
// if one fails, the others are ended. Ctrl-C and SIGTERM are handed on. Returns at once in a process that was
// started so, and for a count of 1. Without --threads each has its share of the cores.
// Error: more than 64.
void run_as_group(int count);

// "0,1": only these GPUs are there from now on, unless CUDA_VISIBLE_DEVICES says something. Returns how many
// they are. Error: no such list, or a number comes twice.
int take_gpus(const std::string& list);

}  // namespace osprey
