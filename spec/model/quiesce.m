-- A range that moves from one home to the other and back under traffic: QUIESCED, RECALL, BUSY and the back-off (HSL 5.1.4, 5.4
-- T4, T10). One line of the range; the steps of the management software are those of 5.1.4. Written by hand from these clauses.
-- The states of an agent are those of 5.5 that matter here; a home has its line, the requests that wait for it, and its memory.

const
  AGENTS: 2;

type
  Agent: scalarset(AGENTS);
  Home:  0..1;
  State: enum {I, S, E, M, IS_D, IM_D, SM_A, MI_A, II_A};
  Op:    enum {ReadShared, ReadUnique, Upgrade, Evict, WbFull};
  Access: enum {load, store};
  Done:  enum {Cmp_I, Cmp_E, CmpData_S, CmpData_E, BUSY, DECODE};
  Snoop: enum {SnpShared, SnpInv};
  Control: enum {IDLE, SNP, ACK};
  Phase: enum {serving, quiescing, recalling, moving, opening};

var
  -- agents
  st:     array [Agent] of State;
  cur:    array [Agent] of boolean;   -- the copy, or the data that are kept for a WbFull, are what was last written
  pend:   array [Agent] of Access;    -- the access that waits
  off:    array [Agent] of boolean;   -- it is in back-off
  from:   array [Agent] of Home;      -- of a copy: the home that granted it
  map:    array [Agent] of Home;      -- HOME of the entry in the agent's node
  -- messages: an agent has one request of a line, a home one snoop to an agent
  op:     array [Agent] of Op;        -- the request that is outstanding
  dst:    array [Agent] of Home;      -- where it was sent
  came:   array [Agent] of boolean;   -- it has passed the checks of its home, and waits
  sent:   array [Agent] of boolean;   -- it is on its way
  done:   array [Agent] of Done;      -- its completion on its way
  fresh:  array [Agent] of boolean;   -- the data of that completion
  ack:    array [Agent] of boolean;   -- its CmpAck on its way
  snp:    array [Agent] of array [Home] of Snoop;
  ans:    array [Agent] of array [Home] of boolean; -- the answer is on its way; with data?
  -- homes
  ctl:    array [Home] of Control;
  who:    array [Home] of Agent;      -- the requester; undefined: RECALL
  what:   array [Home] of Op;
  listed: array [Home] of array [Agent] of boolean;
  owner:  array [Home] of boolean;    -- the one that is listed is the owner
  wait:   array [Home] of array [Agent] of boolean; -- P
  mem:    array [Home] of boolean;    -- the memory is what was last written
  entry:  array [Home] of Home;       -- HOME of the entry in the home's node
  quiet:  array [Home] of boolean;    -- QUIESCED of that entry
  recall: array [Home] of boolean;    -- the progress register is not 0
  behind: array [Home] of array [Agent] of boolean; -- requests that had arrived when RECALL was written
  -- the management software
  phase:  Phase;
  place:  Home;                       -- where the range lives, or lived before the move
  calm:   boolean;                    -- no new access and no new move

-- Agents ----------------------------------------------------------------------------------------------------------

function stable(s: State): boolean; begin return s = I | s = S | s = E | s = M; end;
-- It has a copy that may be used, or modified data that its home has not got.
function holds(n: Agent): boolean; begin
  return st[n] = S | st[n] = E | st[n] = M | st[n] = SM_A | (st[n] = MI_A & isundefined(done[n]));
end;

procedure request(n: Agent; o: Op; s: State); begin
  op[n] := o;
  if st[n] = I then dst[n] := map[n]; else dst[n] := from[n]; endif; -- translated again each time
  sent[n] := true;
  st[n] := s;
end;

procedure written(n: Agent); begin -- n has written: every other datum is old
  for m: Agent do if m != n then cur[m] := false; if !isundefined(fresh[m]) then fresh[m] := false; endif; endif; endfor;
  for h: Home do mem[h] := false; endfor;
  cur[n] := true;
end;

procedure present(n: Agent; a: Access); begin
  assert "no access passes an earlier one of its agent to the line" isundefined(pend[n]);
  if a = load then
    switch st[n]
      case I: request(n, ReadShared, IS_D); pend[n] := a;
      else assert "a load reads what was last written" cur[n];
    endswitch;
  else
    switch st[n]
      case I: request(n, ReadUnique, IM_D); pend[n] := a;
      case S: request(n, Upgrade, SM_A); pend[n] := a;
      else st[n] := M; written(n);
    endswitch;
  endif;
end;

procedure again(n: Agent); -- T13
var a: Access;
begin
  if stable(st[n]) & !isundefined(pend[n]) & !off[n] then
    a := pend[n];
    undefine pend[n];
    present(n, a);
  endif;
end;

procedure drop(n: Agent); begin cur[n] := false; undefine from[n]; end;
procedure finish(n: Agent); begin undefine op[n]; undefine dst[n]; undefine done[n]; undefine fresh[n]; end;

ruleset n: Agent do
ruleset a: Access do
rule "an access begins" !calm & stable(st[n]) & isundefined(op[n]) & !ack[n] & isundefined(pend[n]) ==> begin present(n, a); end;
endruleset;

rule "the back-off ends" off[n] & isundefined(op[n]) & !ack[n] ==> begin off[n] := false; again(n); end;

rule "the line is evicted" stable(st[n]) & st[n] != I & isundefined(op[n]) & !ack[n] & (isundefined(pend[n]) | off[n]) ==> begin
  if st[n] = M then request(n, WbFull, MI_A);
  else request(n, Evict, II_A); drop(n);
  endif;
end;

rule "completion" !isundefined(done[n]) ==> begin
  switch done[n]
    case Cmp_I:
      assert "Cmp(I) ends a writeback" st[n] = MI_A | st[n] = II_A;
      drop(n);
      st[n] := I;
    case BUSY:
      assert "no modified data are dropped" st[n] != MI_A;
      if st[n] = SM_A then st[n] := S; else st[n] := I; endif;
      if isundefined(pend[n]) then off[n] := false; else off[n] := true; endif;
    case DECODE:
      assert "no request meets DECODE while its range moves" false;
    case Cmp_E: st[n] := E; ack[n] := true;
    else
      from[n] := dst[n];
      cur[n] := fresh[n];
      if done[n] = CmpData_S then st[n] := S; else st[n] := E; endif;
      ack[n] := true;
  endswitch;
  if ack[n] then undefine done[n]; undefine fresh[n]; else finish(n); endif;
  if ack[n] & stable(st[n]) then -- the access is done with the grant
    if pend[n] = load then undefine pend[n]; assert "a load reads what was last written" cur[n];
    elsif st[n] != S then undefine pend[n]; st[n] := M; written(n);
    endif;
  else again(n);
  endif;
end;

ruleset h: Home do
rule "snoop" !isundefined(snp[n][h]) ==>
var data: boolean;
begin
  data := st[n] = M | st[n] = MI_A;
  ans[n][h] := data;
  if data then mem[h] := cur[n]; endif;
  switch st[n]
    case S: if snp[n][h] = SnpInv then st[n] := I; drop(n); endif;
    case E, M: if snp[n][h] = SnpInv then st[n] := I; drop(n); else st[n] := S; endif;
    case SM_A: if snp[n][h] = SnpInv then st[n] := IM_D; drop(n); endif;
    case MI_A: st[n] := II_A; drop(n);
  endswitch;
  undefine snp[n][h];
end;
endruleset;
endruleset;

-- Homes -----------------------------------------------------------------------------------------------------------

procedure complete(h: Home; n: Agent; d: Done); begin
  done[n] := d;
  if d = CmpData_S | d = CmpData_E then fresh[n] := mem[h]; endif;
  came[n] := false;
end;
procedure idle(h: Home); begin ctl[h] := IDLE; undefine who[h]; undefine what[h]; end;
procedure grant(h: Home; n: Agent; d: Done); begin
  complete(h, n, d);
  ctl[h] := ACK;
end;
function nobody(h: Home): boolean; begin return !(exists n: Agent do listed[h][n] endexists); end;

procedure go(h: Home); -- all have answered
var n: Agent;
var held: boolean;
begin
  if isundefined(who[h]) then
    recall[h] := false; -- counted down
    idle(h);
  else
    n := who[h];
    held := listed[h][n];
    switch what[h]
      case ReadShared:
        if nobody(h) then owner[h] := true; grant(h, n, CmpData_E); else owner[h] := false; grant(h, n, CmpData_S); endif;
        listed[h][n] := true;
      case ReadUnique, Upgrade:
        listed[h][n] := true;
        owner[h] := true;
        if held then grant(h, n, Cmp_E); else grant(h, n, CmpData_E); endif;
    endswitch;
  endif;
end;

procedure snoop(h: Home; s: Snoop); begin
  ctl[h] := SNP;
  for m: Agent do
    if listed[h][m] & (isundefined(who[h]) ? true : m != who[h]) then
      wait[h][m] := true;
      snp[m][h] := s;
    endif;
  endfor;
end;
function others(h: Home; n: Agent): boolean; begin return exists m: Agent do m != n & listed[h][m] endexists; end;

ruleset n: Agent do
rule "request arrives" sent[n] ==> begin -- the checks of T15
  sent[n] := false;
  if quiet[dst[n]] & op[n] != Evict & op[n] != WbFull then complete(dst[n], n, BUSY);
  elsif entry[dst[n]] != dst[n] & !quiet[dst[n]] then complete(dst[n], n, DECODE);
  else came[n] := true;
  endif;
end;

rule "request is served" came[n] & ctl[dst[n]] = IDLE ==>
var h: Home;
begin
  h := dst[n];
  came[n] := false;
  behind[h][n] := false;
  who[h] := n;
  what[h] := op[n];
  switch op[n]
    case Evict:
      if listed[h][n] then listed[h][n] := false; owner[h] := false; endif;
      complete(h, n, Cmp_I);
      idle(h);
    case WbFull:
      if listed[h][n] & owner[h] then listed[h][n] := false; owner[h] := false; mem[h] := cur[n]; endif;
      complete(h, n, Cmp_I);
      idle(h);
    case ReadShared: if owner[h] then snoop(h, SnpShared); else go(h); endif;
    else if others(h, n) then snoop(h, SnpInv); else go(h); endif;
  endswitch;
end;

ruleset h: Home do
rule "snoop answer" !isundefined(ans[n][h]) ==> begin
  undefine ans[n][h];
  wait[h][n] := false;
  -- The agent that is here in S, IS_D or IM_D after a SnpShared is a sharer; all others hold nothing.
  if isundefined(who[h]) then listed[h][n] := false;
  elsif what[h] != ReadShared | st[n] = I | st[n] = II_A | st[n] = IS_D | st[n] = IM_D then listed[h][n] := false;
  endif;
  owner[h] := false;
  if !(exists m: Agent do wait[h][m] endexists) then go(h); endif;
end;

rule "CmpAck" ack[n] & ctl[h] = ACK & who[h] = n ==> begin
  ack[n] := false;
  finish(n);
  idle(h);
  again(n);
end;
endruleset;
endruleset;

ruleset h: Home do
rule "recall is served" recall[h] & ctl[h] = IDLE & !(exists n: Agent do behind[h][n] endexists) ==> begin
  if nobody(h) then go(h); else snoop(h, SnpInv); endif;
end;
endruleset;

-- The management software: each rule is one CfgWrite, or what it does when the CfgWrites of a step are completed ----------

rule "the move begins" !calm & phase = serving ==> begin phase := quiescing; end;

ruleset h: Home do
rule "QUIESCED is set" phase = quiescing & !quiet[h] ==> begin quiet[h] := true; end;
rule "the entry of a home is written" phase = moving & entry[h] = place ==> begin entry[h] := 1 - place; end;
rule "QUIESCED is cleared" phase = opening & quiet[h] ==> begin quiet[h] := false; end;
endruleset;
ruleset n: Agent do
rule "the entry of an agent is written" phase = moving & map[n] = place ==> begin map[n] := 1 - place; end;
endruleset;

-- The lines that RECALL takes: listed, busy or waited for.
function counted(h: Home): boolean; begin
  return !nobody(h) | ctl[h] != IDLE | (exists n: Agent do came[n] & dst[n] = h endexists);
end;
-- A CfgWrite of an entry ends when the requests that its node has sent by the old one are completed.
function over(n: Agent): boolean; begin return isundefined(dst[n]) ? true : dst[n] != place; end;

rule "RECALL" phase = quiescing & (forall h: Home do quiet[h] endforall) ==> begin
  if counted(place) then
    recall[place] := true;
    for n: Agent do if came[n] & dst[n] = place then behind[place][n] := true; endif; endfor;
  endif;
  phase := recalling;
end;
rule "RECALL has ended, the memory is copied" phase = recalling & !recall[place] ==> begin
  mem[1 - place] := mem[place];
  mem[place] := false;
  phase := moving;
end;
rule "all entries are written" phase = moving & (forall h: Home do entry[h] != place endforall) &
  (forall n: Agent do map[n] != place & over(n) endforall) ==> begin
  place := 1 - place;
  phase := opening;
end;
rule "the move has ended" phase = opening & (forall h: Home do !quiet[h] endforall) ==> begin phase := serving; end;

rule "no more accesses and moves" !calm ==> begin calm := true; end;

startstate begin
  undefine pend; undefine from; undefine op; undefine dst; undefine done; undefine fresh; undefine snp; undefine ans;
  undefine who; undefine what;
  for n: Agent do
    st[n] := I; cur[n] := false; off[n] := false; map[n] := 0; came[n] := false; sent[n] := false; ack[n] := false;
  endfor;
  for h: Home do
    ctl[h] := IDLE; owner[h] := false; mem[h] := h = 0; entry[h] := 0; quiet[h] := false; recall[h] := false;
    for n: Agent do listed[h][n] := false; wait[h][n] := false; behind[h][n] := false; endfor;
  endfor;
  phase := serving;
  place := 0;
  calm := false;
end;

-- What must hold ----------------------------------------------------------------------------------------------------

invariant "one agent may write, or any number may read"
  forall n: Agent do st[n] = E | st[n] = M -> forall m: Agent do m != n -> !(st[m] = S | st[m] = E | st[m] = M) endforall endforall;

invariant "no agent holds the line when RECALL has ended"
  phase = moving -> forall n: Agent do !holds(n) endforall & forall h: Home do nobody(h) & ctl[h] = IDLE endforall;

invariant "memory is what was last written, when nobody owns the line and no writeback is under way"
  ctl[place] = IDLE & phase != moving & !(exists n: Agent do st[n] = E | st[n] = M | st[n] = MI_A endexists) -> mem[place];

-- Reached also without a new access or move (`calm`).
liveness "rest: the move has ended, no access waits, no message is under way"
  phase = serving & forall n: Agent do stable(st[n]) & isundefined(pend[n]) & isundefined(op[n]) & !ack[n] endforall;
