-- One line, its home and AGENTS request agents, over a network that keeps no order (HSL 5.2 to 5.7, 6.1, 6.2).
-- The cells of both tables come from spec/coherence.toml; here is what their action words do.
-- A datum is told by its age: how many writes of the line there were since it was current. The oldest are not told apart.

const
  AGENTS: 2; -- request agents
  OLD: 1;    -- the oldest age that is told apart: 1 is "current or not", two values
  OPS: 0;    -- accesses: 0 all, 1 without write_ptl and atomic_store, 2 cached ones only
  MT: 0;     -- memory: 0 the home's own, 1 a memory target, 2 one that may be lost and come back
  ERR: 0;    -- 1: any request but Evict and WbFull may be refused, the memory target may fail any access
  POIS: 0;   -- 1: any datum may become poisoned
  LOSS: 0;   -- 1: any node may be declared lost, or lose the home, and may be re-admitted
  TREQ: 0;   -- 1: T_REQ of any request may expire
  HOSTILE: 0; -- 1: one agent sends what it likes
  CALM: 1;   -- 1: rest is reached without a new access or fault; 0: half the states, with these

  POISONED: OLD + 1;

type
  Node: scalarset(AGENTS);
  Age: 0..POISONED;
  Access: enum { load, store, store_line, evict, read_once, write_full, write_ptl, atomic_load, atomic_store, flush };
  Snoop: enum { SnpShared, SnpInv, SnpCur };
  Mem: enum { MemRd, MemWr, MemWrPtl };
  Follow: enum { go, MemData_OK, MemData_ERR, MemDone_OK, MemDone_ERR };
  Whom: enum { q, r };
  Snooped: enum { owner, others };
  Source: enum { buf, req, new, mem, old };
  Code: enum { PROTO, DATA, MEM };
--@ names

  Request: record op: Op; data: Age; end;
  Answer: record st: State; data: Age; end;           -- with data: SnpRspData
  Completion: record st: State; err: boolean; data: Age; end; -- with data: CmpData
  Tshr: record
    ctl: Control;
    op: Op;
    r: Node;                      -- undefined: Recall
    snp: Snoop;
    buf: Age; cur: boolean;       -- BUF, and "filled by take_cur"
    req: Age; new: Age; mem: Age; old: Age;
    rlost: boolean;
  end;

var
  st: array[Node] of State;
  line: array[Node] of Age;       -- the cached bytes
  pend: array[Node] of Access;    -- the access that waits
  back: array[Node] of Age;       -- writes since its ReadOnce or AtomicLoad was issued: the oldest age that it may return
  -- One message of a kind is under way between the home and an agent (T1, T5, T7).
  request: array[Node] of Request;
  snoop: array[Node] of Snoop;
  answer: array[Node] of Answer;
  completion: array[Node] of Completion;
  cmpack: array[Node] of boolean;
  -- The home.
  t: Tshr;
  pending: array[Node] of boolean; -- P
  listed: array[Node] of Of_qdir;  -- the directory
  fenced: array[Node] of boolean;
  gone: array[Node] of boolean;    -- the agent has lost its home (6.2 F6)
  -- Memory: the home's own or the target's; lost list and fence are of the target, at the home.
  memory: Age;
  mark: boolean;
  mem_fenced: boolean;
  ask: record op: Mem; data: Age; end;
  done: record follow: Follow; data: Age; end;
  hostile: array[Node] of boolean;
  calm: boolean;                   -- no new access, no fault from now on
  -- Of the step that runs.
  peer: Node;                      -- q
  came: Answer;
  sent: Completion;
  doing: Access;
  follow: Follow;

-- Small words ---------------------------------------------------------------------------------------------------

function faulty(): boolean; begin return ERR + POIS + LOSS + HOSTILE > 0 | MT = 2; end;
-- What a reader may be given: the last written value, or poison where there are faults.
function good(a: Age): boolean; begin return a = 0 | (a = POISONED & faulty()); end;
function stable(n: Node): boolean; begin return st[n] = I | st[n] = S | st[n] = E | st[n] = M; end;
function readable(n: Node): boolean; begin
  return !fenced[n] & !hostile[n] & (st[n] = S | st[n] = E | st[n] = M | st[n] = SM_A);
end;
function deaf(n: Node): boolean; begin return gone[n] | hostile[n]; end; -- hears nothing of the home
function older(a: Age): Age; begin return a < OLD ? a + 1 : a; end; -- POISONED stays

-- A write of the line takes its place in the order: every copy is older by one.
procedure write(); begin
  for n: Node do
    if !isundefined(line[n]) then line[n] := older(line[n]); endif;
    if !isundefined(back[n]) then back[n] := older(back[n]); endif;
    if !isundefined(request[n].op) then
      if request[n].op = WbFull then request[n].data := older(request[n].data); endif;
    endif;
    if !isundefined(answer[n].data) then answer[n].data := older(answer[n].data); endif;
    if !isundefined(completion[n].data) then completion[n].data := older(completion[n].data); endif;
  endfor;
  if !isundefined(t.buf) then t.buf := older(t.buf); endif;
  if !isundefined(t.mem) then t.mem := older(t.mem); endif;
  if !isundefined(t.old) then t.old := older(t.old); endif;
  if !isundefined(ask.op) then if ask.op = MemWr then ask.data := older(ask.data); endif; endif;
  if !isundefined(done.data) then done.data := older(done.data); endif;
  memory := older(memory);
end;

-- Actions of the request agent, by their names in the table --------------------------------------------------------

procedure ra_do_wait(n: Node); begin pend[n] := doing; end;

procedure ra_do_hit(n: Node); begin
  if doing = load | doing = read_once then
    assert "a load reads what was last written" fenced[n] | good(line[n]);
  elsif !fenced[n] & !((doing = atomic_load | doing = atomic_store) & line[n] = POISONED) then
    if line[n] != POISONED then
      assert "a partial store or an atomic works on what was last written" line[n] = 0;
      write();
      line[n] := 0;
    else
      write();
    endif;
  endif;
end;

procedure ra_do_hit_line(n: Node); begin
  if !fenced[n] then write(); endif;
  line[n] := 0;
end;

procedure ra_do_send(n: Node; op: Op); begin
  assert "an agent has one request of a line" isundefined(request[n].op) | fenced[n];
  if !fenced[n] then
    request[n].op := op;
    switch op
      case WbFull: request[n].data := line[n];
      case WriteFull, WritePtl, AtomicLoad, AtomicStore: request[n].data := 0;
    endswitch;
  endif;
  if op = ReadOnce | op = AtomicLoad then back[n] := 0; endif;
end;

procedure ra_answer(n: Node; s: State); begin
  assert "a snoop is answered once" isundefined(answer[n].st) | fenced[n];
  if !fenced[n] then answer[n].st := s; endif;
end;
procedure ra_do_rsp(n: Node; s: State); begin ra_answer(n, s); end;
procedure ra_do_rspdata(n: Node; s: State); begin
  ra_answer(n, s);
  if !fenced[n] then answer[n].data := line[n]; endif;
end;

procedure ra_do_fill(n: Node); begin line[n] := sent.data; end;
procedure ra_do_ack(n: Node); begin
  assert "a grant is acknowledged once" !cmpack[n] | fenced[n];
  if !fenced[n] then cmpack[n] := true; endif;
end;
procedure ra_do_drop(n: Node); begin undefine line[n]; end;
procedure ra_do_free(n: Node); begin end;
procedure ra_do_done(n: Node); begin undefine pend[n]; end;
procedure ra_do_done_data(n: Node); begin
  assert "a snapshot or old value was current while its request was open"
    sent.data <= back[n] | (sent.data = POISONED & faulty());
  undefine back[n];
end;
procedure ra_do_report(n: Node); begin undefine pend[n]; undefine back[n]; end;
procedure ra_do_report_unreach(n: Node); begin undefine pend[n]; end;
procedure ra_do_proto(n: Node); begin
  assert "an agent with a conforming home reaches no proto cell" false;
end;
procedure ra_do_odd(n: Node); begin
  assert "no agent is snooped that does not hold the line" false;
end;

--@ ra (n: Node) st[n]

procedure ra_access(n: Node; a: Access); begin
  doing := a;
  switch a
    case load: ra_load(n);
    case store: ra_store(n);
    case store_line: ra_store_line(n);
    case evict: ra_evict(n);
    case read_once: ra_read_once(n);
    case write_full: ra_write_full(n);
    case write_ptl: ra_write_ptl(n);
    case atomic_load: ra_atomic_load(n);
    case atomic_store: ra_atomic_store(n);
    case flush: ra_flush(n);
  endswitch;
  undefine doing;
end;

-- T13: what waits is presented again before any other event of the line.
procedure ra_again(n: Node);
var a: Access;
begin
  if stable(n) & !isundefined(pend[n]) then
    a := pend[n];
    undefine pend[n];
    ra_access(n, a);
  endif;
end;

-- Guards of the home ---------------------------------------------------------------------------------------------

function is_r(n: Node): boolean; begin
  if isundefined(t.r) then return false; else return n = t.r; endif;
end;
function ha_dir(): Of_dir; begin
  for n: Node do if listed[n] = qdir_owner then return dir_X; endif; endfor;
  for n: Node do if listed[n] = qdir_sharer then return dir_S; endif; endfor;
  return dir_I;
end;
function ha_who(): Of_who; begin return listed[t.r] = qdir_none ? who_none : who_listed; end;
function ha_others(): Of_others; begin
  for n: Node do if listed[n] != qdir_none & !is_r(n) then return others_yes; endif; endfor;
  return others_no;
end;
function ha_op(): Op; begin return t.op; end;
function ha_snp(): Of_snp; begin
  switch t.snp
    case SnpInv: return snp_inv;
    case SnpShared: return snp_shared;
    case SnpCur: return snp_cur;
  endswitch;
end;
function ha_pend(): Of_pend; begin return pending[peer] ? pend_yes : pend_no; end;
function ha_last(): Of_last; begin
  for n: Node do if pending[n] & n != peer then return last_no; endif; endfor;
  return last_yes;
end;
function ha_qdir(): Of_qdir; begin return listed[peer]; end;
function ha_qisr(): Of_qisr; begin return is_r(peer) ? qisr_yes : qisr_no; end;
function ha_buf(): Of_buf; begin return t.cur ? buf_cur : buf_none; end;
function ha_rlost(): Of_rlost; begin return t.rlost ? rlost_yes : rlost_no; end;
function ha_poison(): Of_poison; begin return t.mem = POISONED | t.req = POISONED ? poison_yes : poison_no; end;
function ha_match(): Of_match; begin -- a CmpAck from r; a completion of memory is always the one outstanding (M1)
  if isundefined(peer) then return match_yes; endif;
  return is_r(peer) ? match_yes : match_no;
end;

-- Actions of the home ----------------------------------------------------------------------------------------------

procedure ha_do_wait(); begin end;
procedure ha_do_snoop(what: Snoop; whom: Snooped); begin
  t.snp := what;
  for n: Node do
    if listed[n] != qdir_none & !is_r(n) then
      assert "an agent has one snoop of a line" isundefined(snoop[n]);
      pending[n] := true;
      if !deaf(n) then snoop[n] := what; endif;
    endif;
  endfor;
end;
procedure ha_do_unpend(); begin pending[peer] := false; end;
procedure ha_do_list(whom: Whom); begin
  if whom = r then listed[t.r] := qdir_sharer; else listed[peer] := qdir_sharer; endif;
end;
procedure ha_do_own(); begin listed[t.r] := qdir_owner; end;
procedure ha_do_unlist(whom: Whom); begin
  if whom = r then listed[t.r] := qdir_none; else listed[peer] := qdir_none; endif;
end;
procedure ha_do_take(); begin t.buf := came.data; end;
procedure ha_do_take_cur(); begin t.buf := came.data; t.cur := true; end;

procedure ha_do_mem_read(); begin
  if mem_fenced then follow := MemData_ERR;
  elsif mark then t.mem := POISONED; follow := MemData_OK;
  elsif MT = 0 then t.mem := memory; follow := MemData_OK;
  else ask.op := MemRd;
  endif;
end;

function merged(a: Age; part: Age): Age; begin return a = POISONED ? a : part; end;

procedure ha_do_mem_write(from: Source);
var a: Age;
begin
  switch from
    case buf: a := t.buf;
    case req: a := t.req;
    case new: a := t.new;
  endswitch;
  if from = new | (from = req & t.op = WriteFull) then write(); endif;
  mark := false;
  if mem_fenced then follow := MemDone_ERR;
  elsif MT = 0 then memory := a; follow := MemDone_OK;
  else ask.op := MemWr; ask.data := a;
  endif;
end;

procedure ha_do_mem_write_ptl(); begin
  assert "bytes are merged into what was last written" mark | mem_fenced | good(memory);
  write();
  if mem_fenced then follow := MemDone_ERR;
  elsif MT = 0 then memory := merged(memory, t.req); follow := MemDone_OK;
  else ask.op := MemWrPtl; ask.data := t.req;
  endif;
end;

procedure ha_do_alu(); begin
  assert "an atomic works on what was last written" t.mem = 0;
  t.old := t.mem;
  t.new := 0;
end;

-- M3. Unless a copy of it is left, the last written value is gone: poison takes its place in the order.
procedure ha_do_poison_line(); begin
  if forall n: Node do !readable(n) endforall then write(); endif;
  if MT = 0 then memory := POISONED; else mark := true; endif;
end;

procedure complete(s: State; e: boolean); begin
  if !deaf(t.r) then
    assert "a request is completed once" isundefined(completion[t.r].st);
    completion[t.r].st := s;
    completion[t.r].err := e;
  endif;
end;
procedure ha_do_cmp(s: State); begin complete(s, false); end;
procedure ha_do_cmpdata(s: State; from: Source);
begin
  complete(s, false);
  if !deaf(t.r) then
    switch from
      case mem: completion[t.r].data := t.mem;
      case buf: completion[t.r].data := t.buf;
      case old: completion[t.r].data := t.old;
    endswitch;
  endif;
end;
procedure ha_do_cmp_err(code: Code); begin complete(I, true); end;
procedure ha_do_lose_r(); begin t.rlost := true; end;
procedure ha_do_proto(); begin
  if isundefined(peer) then
    assert "a home with conforming agents reaches no proto cell" !isundefined(t.r) & hostile[t.r];
  else
    assert "a home with conforming agents reaches no proto cell" hostile[peer];
  endif;
end;

--@ ha () t.ctl

-- Events that follow at once, then the end of the transaction.
procedure run();
var event: Follow;
begin
  while !isundefined(follow) do
    event := follow;
    undefine follow;
    undefine peer; -- none of these events comes from a node
    switch event
      case go: ha_go();
      case MemData_OK: ha_MemData_OK();
      case MemData_ERR: ha_MemData_ERR();
      case MemDone_OK: ha_MemDone_OK();
      case MemDone_ERR: ha_MemDone_ERR();
    endswitch;
  endwhile;
  if t.ctl = IDLE then
    undefine t;
    t.ctl := IDLE;
    t.cur := false;
    t.rlost := false;
    for n: Node do pending[n] := false; endfor;
  endif;
  undefine peer;
  undefine came;
end;

procedure begin_request(n: Node); begin
  t.op := request[n].op;
  t.r := n;
  if !isundefined(request[n].data) then t.req := request[n].data; endif;
  if hostile[n] & t.op = WbFull & listed[n] = qdir_owner then write(); t.req := 0; endif; -- it may write what it owns
  undefine request[n];
  switch t.op
    case ReadShared: ha_ReadShared();
    case ReadUnique: ha_ReadUnique();
    case MakeUnique: ha_MakeUnique();
    case Upgrade: ha_Upgrade();
    case ReadOnce: ha_ReadOnce();
    case Flush: ha_Flush();
    case Evict: ha_Evict();
    case WbFull: ha_WbFull();
    case WriteFull: ha_WriteFull();
    case WritePtl: ha_WritePtl();
    case AtomicLoad: ha_AtomicLoad();
    case AtomicStore: ha_AtomicStore();
  endswitch;
  run();
end;

procedure take_answer(n: Node); begin
  peer := n;
  came := answer[n];
  undefine answer[n];
  if hostile[n] & listed[n] = qdir_owner & pending[n] & !isundefined(came.data) then
    if t.snp != SnpCur then write(); endif;
    came.data := 0;
  endif;
  if isundefined(came.data) then
    switch came.st
      case I: ha_SnpRsp_I();
      case S: ha_SnpRsp_S();
      case E: ha_SnpRsp_E();
      case M: ha_SnpRsp_M();
    endswitch;
  else
    switch came.st
      case I: ha_SnpRspData_I();
      case S: ha_SnpRspData_S();
      case E: ha_SnpRspData_E();
      case M: ha_SnpRspData_M();
    endswitch;
  endif;
  run();
end;

function may_refuse(op: Op): boolean; begin return op != Evict & op != WbFull; end;
procedure refuse(n: Node); begin
  undefine request[n];
  assert "a request is completed once" isundefined(completion[n].st) | deaf(n);
  if !deaf(n) then completion[n].st := I; completion[n].err := true; endif;
end;

-- F3: nothing is heard of a fenced node; F6: nor of a home that is lost. What is sent to or by them meanwhile is
-- not put on its way: on arrival it would have no effect.
procedure silence_node(n: Node); begin undefine request[n]; undefine answer[n]; cmpack[n] := false; end;
procedure silence_home(n: Node); begin undefine snoop[n]; undefine completion[n]; end;
procedure fence(n: Node); begin -- F1
  fenced[n] := true;
  silence_node(n);
  peer := n;
  ha_lost();
  run();
end;
procedure readmit(n: Node); begin fenced[n] := false; gone[n] := false; end; -- F5: no old message is left
-- T_SNP, T_CACK of a hostile agent: that of others is a fault.
function late(n: Node): boolean; begin return hostile[n] & (pending[n] | (t.ctl = ACK & is_r(n))); end;

procedure take_cmpack(n: Node); begin
  cmpack[n] := false;
  peer := n;
  ha_CmpAck();
  run();
end;

-- The agent ---------------------------------------------------------------------------------------------------------

function may(n: Node; a: Access): boolean; begin
  if calm | gone[n] | hostile[n] | !isundefined(pend[n]) then return false; endif;
  if OPS = 1 & (a = write_ptl | a = atomic_store) then return false; endif;
  if OPS = 2 & a != load & a != store & a != store_line & a != evict then return false; endif;
  if st[n] = SM_A then return a = load; endif;
  return stable(n) & (st[n] = I ? a != evict : a != read_once); -- read_once of a holder is load
end;

ruleset n: Node do

ruleset a: Access do
rule "local access" may(n, a) ==> begin ra_access(n, a); end;
endruleset;

rule "snoop arrives" !isundefined(snoop[n]) & !gone[n] ==>
var what: Snoop;
begin
  what := snoop[n];
  undefine snoop[n];
  switch what
    case SnpShared: ra_SnpShared(n);
    case SnpInv: ra_SnpInv(n);
    case SnpCur: ra_SnpCur(n);
  endswitch;
  ra_again(n);
end;

rule "completion arrives" !isundefined(completion[n].st) & !gone[n] ==> begin
  sent := completion[n];
  undefine completion[n];
  if sent.err then ra_Cmp_ERR(n);
  elsif isundefined(sent.data) then
    switch sent.st
      case I: ra_Cmp_I(n);
      case S: ra_Cmp_S(n);
      case E: ra_Cmp_E(n);
      case M: ra_Cmp_M(n);
    endswitch;
  else
    switch sent.st
      case I: ra_CmpData_I(n);
      case S: ra_CmpData_S(n);
      case E: ra_CmpData_E(n);
      case M: ra_CmpData_M(n);
    endswitch;
  endif;
  undefine sent;
  ra_again(n);
end;

--@ where TREQ
rule "T_REQ" !calm & TREQ = 1 & !isundefined(pend[n]) & !stable(n) ==> begin ra_t_req(n); end;
--@ end

-- The home ----------------------------------------------------------------------------------------------------------

-- T5: a request for a busy line waits; that it came early or late is the same to a network without order.
rule "request is served" !isundefined(request[n].op) & t.ctl = IDLE & !fenced[n] ==> begin begin_request(n); end;
rule "snoop answer arrives" !isundefined(answer[n].st) & !fenced[n] ==> begin take_answer(n); end;
rule "CmpAck arrives" cmpack[n] & !fenced[n] ==> begin take_cmpack(n); end;

--@ where ERR
-- T15: refused at arrival, also while the line is busy. T14: Evict and WbFull are not.
rule "request is refused" !calm & ERR = 1 & !isundefined(request[n].op) & !fenced[n] & may_refuse(request[n].op) ==> begin
  refuse(n);
end;
--@ end

--@ where LOSS HOSTILE
-- Loss of a node (6.2) ------------------------------------------------------------------------------------------------

rule "home declares a node lost" !fenced[n] & ((!calm & LOSS = 1) | gone[n] | late(n)) ==> begin fence(n); end;
rule "node loses the home" !gone[n] & !hostile[n] & ((!calm & LOSS = 1) | fenced[n]) ==> begin
  gone[n] := true;
  silence_home(n);
  ra_home_lost(n);
  undefine back[n];
end;
rule "node is re-admitted" fenced[n] & (gone[n] | hostile[n]) ==> begin readmit(n); end;
--@ end

--@ where POIS
-- Poison (6.1) ----------------------------------------------------------------------------------------------------------

rule "cached line is poisoned" !calm & POIS = 1 & !isundefined(line[n]) & readable(n) ==> begin line[n] := POISONED; end;
rule "request is poisoned" !calm & POIS = 1 & !isundefined(request[n].data) ==> begin request[n].data := POISONED; end;
--@ end

--@ where HOSTILE
-- A hostile agent sends what it likes, which arrives at once: it might have sent it earlier. It hears nothing.
ruleset op: Op do
rule "hostile request" !calm & hostile[n] & !fenced[n] & t.ctl = IDLE & op != Recall ==> begin
  request[n].op := op;
  switch op
    case WbFull: request[n].data := OLD;
    case WriteFull, WritePtl, AtomicLoad, AtomicStore: request[n].data := 0;
  endswitch;
  begin_request(n);
end;
endruleset;
ruleset s: State; d: boolean do
rule "hostile answer" !calm & hostile[n] & !fenced[n] & (s = I | s = S | s = E | s = M) ==> begin
  answer[n].st := s;
  if d then answer[n].data := OLD; endif;
  take_answer(n);
end;
endruleset;
rule "hostile CmpAck" !calm & hostile[n] & !fenced[n] ==> begin take_cmpack(n); end;
--@ end

endruleset;

rule "Recall" !calm & OPS < 2 & t.ctl = IDLE & (exists n: Node do listed[n] != qdir_none endexists) ==> begin
  t.op := Recall;
  ha_Recall();
  run();
end;

--@ where MT
-- The memory target -----------------------------------------------------------------------------------------------------

procedure perform(); begin
  switch ask.op
    case MemRd: done.data := memory;
    case MemWr: memory := ask.data;
    case MemWrPtl: memory := merged(memory, ask.data);
  endswitch;
end;

rule "memory target does it" !isundefined(ask.op) ==> begin
  perform();
  done.follow := ask.op = MemRd ? MemData_OK : MemDone_OK;
  undefine ask;
end;
ruleset did: boolean do
rule "memory target fails" !calm & ERR = 1 & !isundefined(ask.op) & (ask.op = MemRd -> !did) ==> begin
  if did then perform(); endif;
  done.follow := ask.op = MemRd ? MemData_ERR : MemDone_ERR;
  undefine ask;
end;
endruleset;
rule "completion of memory arrives" !isundefined(done.follow) ==> begin
  follow := done.follow;
  if !isundefined(done.data) then t.mem := done.data; endif;
  undefine done;
  run();
end;
rule "memory target is lost" !calm & MT = 2 & !mem_fenced ==> begin -- M4
  mem_fenced := true;
  if t.ctl = RD then follow := MemData_ERR; elsif t.ctl = WB | t.ctl = WR then follow := MemDone_ERR; endif;
  undefine ask;
  undefine done;
  run();
end;
rule "memory target is back" mem_fenced ==> begin mem_fenced := false; end; -- M5, its memory kept
--@ end

--@ where POIS
rule "memory is poisoned" !calm & POIS = 1 ==> begin memory := POISONED; end;
--@ end

rule "no more accesses and faults" !calm & CALM = 1 ==> begin calm := true; end;

ruleset h: Node do startstate begin
  for n: Node do
    st[n] := I;
    cmpack[n] := false;
    pending[n] := false;
    listed[n] := qdir_none;
    fenced[n] := false;
    gone[n] := false;
    hostile[n] := HOSTILE = 1 & n = h;
  endfor;
  t.ctl := IDLE;
  t.cur := false;
  t.rlost := false;
  memory := 0;
  mark := false;
  mem_fenced := false;
  calm := false;
end; endruleset;

-- What must hold --------------------------------------------------------------------------------------------------------

invariant "one writer, or many readers"
  forall n: Node do readable(n) & (st[n] = E | st[n] = M) ->
    forall o: Node do o = n | !readable(o) endforall
  endforall;

invariant "a readable copy is what was last written"
  forall n: Node do readable(n) -> !isundefined(line[n]) & good(line[n]) endforall;

invariant "the directory lists every holder, and every writer as owner"
  forall n: Node do 
    readable(n) -> (st[n] = E | st[n] = M ? listed[n] = qdir_owner : listed[n] != qdir_none)
  endforall;

invariant "memory is what was last written, when no transaction runs and nobody owns the line"
  t.ctl = IDLE & ha_dir() != dir_X -> mark | good(memory);

function quiet(n: Node): boolean; begin -- nothing of this agent is under way
  if !isundefined(request[n].op) | !isundefined(snoop[n]) | cmpack[n] then return false; endif;
  return isundefined(answer[n].st) & isundefined(completion[n].st);
end;
function settled(n: Node): boolean; begin
  if fenced[n] | gone[n] | hostile[n] then return false; endif;
  return stable(n) & quiet(n);
end;
function exact(n: Node): boolean; begin
  switch st[n]
    case I: return listed[n] = qdir_none;
    case S: return listed[n] = qdir_sharer;
    else return listed[n] = qdir_owner;
  endswitch;
end;
function resting(n: Node): boolean; begin return hostile[n] | (settled(n) & isundefined(pend[n])); end;

invariant "at rest the directory is exact"
  t.ctl = IDLE -> forall n: Node do settled(n) -> exact(n) endforall;

liveness "rest: all accesses are done, no message is under way, no transaction runs, every node is admitted"
  t.ctl = IDLE & forall n: Node do resting(n) endforall;
