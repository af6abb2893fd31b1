// Which threads come first when all processors are busy. An io thread has little to do and others
// wait for all of it: each refusal, each reply; lanes beside it compute for milliseconds. Asked for
// by each io thread of a server when it starts.
// Always holds: it needs no rights and takes no larger share of the processors than before; where
// the system does not know of it, nothing changes.
#pragma once

namespace vecserve::net {

// For the calling thread: short turns, and sooner. Without it, a thread that wakes up beside busy
// ones waits for the end of their turns, some 3 ms each; in an overload requests pile up unread
// meanwhile.
void be_prompt() noexcept;

}  // namespace vecserve::net
