// Darknet's commands with Darknet's arguments and Darknet's output, for scripts that were written for it.
// Each translates to what our own commands do: nothing is computed here that they do not compute.
#pragma once

#include <string>
#include <vector>

#include "apps/darknet/arguments.h"

namespace osprey::darknet {

// Whether a command line, without the program's name, is Darknet's: `detector`, `partial`, ..., and `detect`
// with one of its options, such as -thresh.
bool is_command(const std::vector<std::string>& words);
void run_command(const std::vector<std::string>& words);
std::string command_help();  // a paragraph that lists them

// detector ... DATA CFG [WEIGHTS] [FILE]
void train(Arguments& arguments);
void test(Arguments& arguments);
void demo(Arguments& arguments);
void map(Arguments& arguments);
void valid(Arguments& arguments);
void recall(Arguments& arguments);
void calc_anchors(Arguments& arguments);

// classifier ... DATA CFG [WEIGHTS] [FILE]
void train_classifier(Arguments& arguments);
void predict(Arguments& arguments);
void valid_classifier(Arguments& arguments);

// detect CFG WEIGHTS [IMAGE]
void detect(Arguments& arguments);

// ... CFG WEIGHTS OUT; average: CFG OUT WEIGHTS ...; partial: a number behind; statistics: no OUT
void partial(Arguments& arguments);
void average(Arguments& arguments);
void rescale(Arguments& arguments);
void rgbgr(Arguments& arguments);
void reset(Arguments& arguments);
void denormalize(Arguments& arguments);
void oneoff(Arguments& arguments);
void statistics(Arguments& arguments);

}  // namespace osprey::darknet
