-- A home with fewer directory entries than lines (HSL 5.2 D10): a request that needs an entry waits for one without a TSHR, and a Recall
-- takes the entry of another line. Every copy is an owner's: sharers need no entry of their own. A message whose delay makes no
-- difference to the entries arrives at once. Written by hand from D10.

const
  AGENTS: 2;
  LINES: 3;
  ENTRIES: 1;
  TSHRS: 1;
  BOUND: 5; -- requests that may be served before one that waits for an entry

type
  Agent: scalarset(AGENTS);
  Line:  scalarset(LINES);
  State: enum {I, X, WANT, GIVE, GONE}; -- WANT, GIVE: the request is outstanding; GONE: a snoop has taken what GIVE gives back
  Control: enum {IDLE, SNP, ACK};
  Place: 0..AGENTS;
  Rank:  0..LINES-1;
  Item:  record who: Agent; recall: boolean; end; -- a request, or the Recall of a victim

var
  st:    array [Line] of array [Agent] of State;
  ack:   array [Line] of array [Agent] of boolean; -- the grant, or its CmpAck, is under way
  snp:   array [Line] of Agent;      -- the snoop, or its answer, is under way
  q:     array [Line] of array [Place] of Item; -- what waits, in order of arrival (T5)
  ctl:   array [Line] of Control;
  who:   array [Line] of Agent;      -- the requester; undefined: Recall
  owner: array [Line] of Agent;
  entry: array [Line] of boolean;    -- the line has an entry
  wish:  array [Rank] of Line;       -- lines that wait for an entry and have no victim, the one that came first in front
  chose: array [Line] of boolean;    -- its first request waits for the entry of a victim
  next:  array [Line] of Line;       -- of a victim: the line that its entry belongs to
  passed: array [Line] of 0..BOUND;  -- requests served since its first request waits for an entry
  calm:  boolean;

function waits(l: Line): boolean; begin return !isundefined(q[l][0].recall); end;
function tshrs(): 0..LINES;
var n: 0..LINES;
begin
  n := 0;
  for l: Line do if ctl[l] != IDLE then n := n + 1; endif; endfor;
  return n;
end;
function entries(): 0..LINES;
var n: 0..LINES;
begin
  n := 0;
  for l: Line do if entry[l] then n := n + 1; endif; endfor;
  return n;
end;

-- Does the first request need an entry that its line has not got.
function lacks(l: Line): boolean; begin
  return waits(l) & !entry[l] & ctl[l] = IDLE & (q[l][0].recall ? false : st[l][q[l][0].who] = WANT);
end;
function in_wish(l: Line): boolean; begin
  for r: Rank do if (isundefined(wish[r]) ? false : wish[r] = l) then return true; endif; endfor;
  return false;
end;

procedure put_in(l: Line; n: Agent; recall: boolean);
var free: boolean;
begin
  free := true;
  for p: Place do
    if free & isundefined(q[l][p].recall) then
      q[l][p].recall := recall;
      if !recall then q[l][p].who := n; endif;
      free := false;
    endif;
  endfor;
  assert "the queue of a line has room" !free;
end;
procedure take_out(l: Line; from: Place); begin
  for p: Place do
    if p >= from then
      if p < AGENTS then q[l][p] := q[l][p + 1]; else undefine q[l][p]; endif;
    endif;
  endfor;
end;
procedure wish_out(l: Line);
var gone: boolean;
begin
  gone := false;
  for r: Rank do
    if !isundefined(wish[r]) then
      if gone then wish[r - 1] := wish[r]; endif;
      if gone | wish[r] = l then undefine wish[r]; gone := true; endif;
    endif;
  endfor;
end;
procedure settle(l: Line); -- its first request may need an entry now
var free: boolean;
begin
  if lacks(l) & !chose[l] & !in_wish(l) then
    free := true;
    for r: Rank do if free & isundefined(wish[r]) then wish[r] := l; free := false; endif; endfor;
  endif;
end;

-- The line is idle. If nobody holds it, its entry goes to the request that it belongs to (D10), and its Recall is not needed.
procedure idle(l: Line);
var found: boolean;
begin
  ctl[l] := IDLE;
  undefine who[l];
  if entry[l] & isundefined(owner[l]) then
    entry[l] := false;
    if !isundefined(next[l]) then
      entry[next[l]] := true;
      chose[next[l]] := false;
      undefine next[l];
      found := false;
      for p: Place do
        if !found & (isundefined(q[l][p].recall) ? false : q[l][p].recall) then take_out(l, p); found := true; endif;
      endfor;
    endif;
  endif;
  settle(l);
end;

procedure grant(l: Line); begin
  owner[l] := who[l];
  st[l][who[l]] := X;
  ack[l][who[l]] := true;
  ctl[l] := ACK;
end;

-- The lines that may be a victim: idle ones, or, if there is none, busy ones.
function still(v: Line): boolean; begin return ctl[v] = IDLE & !waits(v); end;
function victim(v: Line): boolean; begin
  return entry[v] & isundefined(next[v]) &
    (still(v) | !(exists o: Line do entry[o] & isundefined(next[o]) & still(o) endexists));
end;
-- What the first of those that wait for an entry does comes before anything else.
function first(l: Line): boolean; begin return isundefined(wish[0]) ? false : wish[0] = l; end;
function settled(): boolean; begin
  return isundefined(wish[0]) | !(entries() < ENTRIES | (exists v: Line do victim(v) endexists));
end;

procedure count(v: Line); begin -- a request of v is served
  for l: Line do
    if lacks(l) & l != v & (chose[l] ? (isundefined(next[v]) ? false : next[v] = l) : true) then
      assert "a request that waits for an entry is not passed for ever" passed[l] < BOUND;
      passed[l] := passed[l] + 1;
    endif;
  endfor;
  passed[v] := 0;
end;

ruleset l: Line do
rule "an entry is free" first(l) & entries() < ENTRIES ==> begin entry[l] := true; wish_out(l); end;

ruleset v: Line do
rule "a victim is chosen" first(l) & entries() = ENTRIES & victim(v) ==>
var n: Agent;
begin
  chose[l] := true;
  wish_out(l);
  next[v] := l;
  undefine n;
  put_in(v, n, true);
end;
endruleset;

rule "first request is served" settled() & waits(l) & ctl[l] = IDLE & tshrs() < TSHRS & !lacks(l) ==>
var n: Agent;
begin
  if q[l][0].recall then
    take_out(l, 0);
    ctl[l] := SNP;
    snp[l] := owner[l];
  else
    n := q[l][0].who;
    take_out(l, 0);
    count(l);
    if st[l][n] = WANT then
      who[l] := n;
      if isundefined(owner[l]) then grant(l); else ctl[l] := SNP; snp[l] := owner[l]; endif;
    else
      if isundefined(owner[l]) ? false : owner[l] = n then undefine owner[l]; endif;
      st[l][n] := I;
      idle(l);
    endif;
  endif;
end;

ruleset n: Agent do
rule "access" settled() & !calm & st[l][n] = I ==> begin st[l][n] := WANT; put_in(l, n, false); settle(l); end;
rule "eviction" settled() & !calm & st[l][n] = X & !ack[l][n] ==> begin st[l][n] := GIVE; put_in(l, n, false); end;
rule "CmpAck" settled() & ack[l][n] ==> begin ack[l][n] := false; idle(l); end;
rule "snoop and its answer" settled() & (isundefined(snp[l]) ? false : snp[l] = n) ==> begin
  undefine snp[l];
  if st[l][n] = X then st[l][n] := I; elsif st[l][n] = GIVE then st[l][n] := GONE; endif;
  undefine owner[l];
  if isundefined(who[l]) then idle(l); else grant(l); endif;
end;
endruleset;
endruleset;

rule "no more accesses" settled() & !calm ==> begin calm := true; end;

startstate begin
  undefine q; undefine snp; undefine who; undefine owner; undefine next; undefine wish;
  for l: Line do
    ctl[l] := IDLE; entry[l] := false; chose[l] := false; passed[l] := 0;
    for n: Agent do st[l][n] := I; ack[l][n] := false; endfor;
  endfor;
  calm := false;
end;

invariant "there are no more entries than the directory has" entries() <= ENTRIES;
invariant "a line that is held has an entry" forall l: Line do !isundefined(owner[l]) -> entry[l] endforall;
invariant "the directory lists every holder"
  forall l: Line do forall n: Agent do
    st[l][n] = X -> (isundefined(owner[l]) ? false : owner[l] = n)
  endforall endforall;

liveness "rest: no request waits, no home is busy"
  forall l: Line do ctl[l] = IDLE & !waits(l) & forall n: Agent do (st[l][n] = I | st[l][n] = X) & !ack[l][n] endforall endforall;
