// Whoever routes requests hears from replicas what became of them.
#pragma once
#include "workloads/serving/base/clock.h"
#include "workloads/serving/base/job_id.h"

namespace flopcast {

/// Told of what happens on a replica, at the moment `now` of the boundary between two iterations.
class ReplicaListener {
 public:
  virtual ~ReplicaListener() = default;
  /// A replica has done its part of a job that goes on to another pool; the job keeps its pages there until release().
  virtual void handed_on(JobId job, Ticks now) = 0;
  /// A decode replica has room for the job's cache: join() it when the cache has arrived.
  virtual void placed(JobId job, Ticks now) = 0;
  /// @param shown when its user has the last token: `now`, or later
  virtual void finished(JobId job, Ticks shown) = 0;
  /// A job has not got what it wanted in time, and is not here any more.
  virtual void expired(JobId job, Ticks now) = 0;
};

}  // namespace flopcast
