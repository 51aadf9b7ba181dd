#include "apps/processes.h"

#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <sstream>
#include <string>
#include <vector>

#include "core/error.h"
#include "core/file.h"
#include "core/parallel.h"
#include "data/text_file.h"
#include "train/process_group.h"

namespace osprey {
namespace {

constexpr int kMostProcesses = 64;

// In a process of its own. Its signals are its own, too: of those of a terminal only the first process knows,
// which hands them on once.
[[noreturn]] void become_member(const std::string& place, pid_t parent, const sigset_t& signals) {
  setpgid(0, 0);
  prctl(PR_SET_PDEATHSIG, SIGTERM);
  if (getppid() != parent) std::_Exit(1);  // it has ended already
  sigprocmask(SIG_SETMASK, &signals, nullptr);
  setenv(ProcessGroup::kVariable, place.c_str(), 1);
  const std::string threads_each = std::to_string(threads());
  setenv("OMP_NUM_THREADS", threads_each.c_str(), 0);
  std::string line = read_file("/proc/self/cmdline", "this command's arguments");
  std::vector<char*> arguments;
  for (size_t at = 0; at < line.size(); at = line.find('\0', at) + 1) arguments.push_back(&line[at]);
  arguments.push_back(nullptr);
  execv("/proc/self/exe", arguments.data());
  std::_Exit(127);
}

}  // namespace

// The driver reads the variable when it is first asked for something.
int take_gpus(const std::string& list) {
  std::vector<int> numbers;
  std::istringstream words(list);
  for (std::string word; std::getline(words, word, ',');) {
    int number = -1;
    if (!parse_number(word, number) || number < 0)
      fail("GPUs `{}`: `{}` is not the number of a GPU", list, word);
    if (std::find(numbers.begin(), numbers.end(), number) != numbers.end())
      fail("GPUs `{}`: each can be named once", list);
    numbers.push_back(number);
  }
  setenv("CUDA_VISIBLE_DEVICES", list.c_str(), 0);
  return int(numbers.size());
}

void run_as_group(int count) {
  if (count <= 1 || std::getenv(ProcessGroup::kVariable)) return;
  if (count > kMostProcesses) fail("{} processes are too many: at most {}", count, kMostProcesses);
  const ProcessGroup::Memory memory(count);
  if (!std::getenv("OMP_NUM_THREADS")) set_threads(std::max(1, threads() / count));
  sigset_t watched, before;
  sigemptyset(&watched);
  for (const int signal : {SIGINT, SIGTERM, SIGCHLD}) sigaddset(&watched, signal);
  sigprocmask(SIG_BLOCK, &watched, &before);
  std::fflush(nullptr);
  const pid_t parent = getpid();
  std::vector<pid_t> members;
  const auto tell_all = [&](int signal) {
    for (const pid_t member : members) kill(member, signal);
  };
  for (int rank = 0; rank < count; ++rank) {
    const pid_t member = fork();
    if (member == 0) become_member(memory.place_of(rank), parent, before);
    if (member < 0) {
      tell_all(SIGKILL);
      fail("process {} of {} cannot be started", rank + 1, count);
    }
    members.push_back(member);
  }
  int status = 0;
  while (!members.empty()) {
    const int signal = sigwaitinfo(&watched, nullptr);
    if (signal == SIGINT || signal == SIGTERM) tell_all(signal);
    int how = 0;
    for (pid_t ended; (ended = waitpid(-1, &how, WNOHANG)) > 0;) {
      std::erase(members, ended);
      const int its_status = WIFEXITED(how) ? WEXITSTATUS(how) : 128 + WTERMSIG(how);
      if (its_status == 0 || status != 0) continue;
      status = its_status;
      if (WIFSIGNALED(how))
        std::fprintf(stderr,
                     "osprey: one of %d processes was ended by signal %d: the others are ended, too\n", count,
                     WTERMSIG(how));
      tell_all(SIGKILL);  // they would wait for it
    }
  }
  std::exit(status);
}

}  // namespace osprey
