// Ctrl-C (and SIGTERM) as a request: what is being done is finished and saved. A second one ends the program.
#pragma once

namespace osprey {

class InterruptGuard {  // while it lives, the signals are caught
 public:
  InterruptGuard();
  ~InterruptGuard();
  bool requested() const;
};

}  // namespace osprey
